"""The first example of the README is what it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_first_function_greets(tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8").split("```python\n", 1)[1].partition("```")[0]
    file = tmp_path / "greetings.py"
    file.write_text(text)
    spec = importlib.util.spec_from_file_location("greetings_of_the_readme", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    result = module.hello.simulate(["Ada", "Grace"], outcomes={"greet": "Hello"})
    assert result.output == {"greeted": 2}
    assert 'print(hello.run(["Ada", "Grace"]))  # {\'greeted\': 2}' in text
