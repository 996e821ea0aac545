"""Uses an installed heliostat the way a stranger's first script does.

Run by `test_wheel.py` with the interpreter of an otherwise empty environment, outside the
repository; so it may import nothing but the standard library and what the wheel brought along.
"""

import sys
import tempfile
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType

DEFINITION = """\
id: greet
version: "1"
steps:
  - id: choose
    type: decision
    output: {greeting: '${ upper($.input.name) }'}
output: $.steps.choose.output.greeting
"""

WRONG = DEFINITION.replace("$.steps.choose.output", "$.steps.chose.output")


def main() -> None:
    """Check the installed package; an assertion's text names what is missing."""
    import heliostat as hs

    home = Path(hs.__file__).parent
    assert "site-packages" in home.parts, f"heliostat came from {home}, not from the wheel"
    assert hs.__version__ == metadata.version("heliostat")
    assert resources.files("heliostat").joinpath("py.typed").is_file(), "types are not announced"
    for package in ("actors", "api", "cluster", "engine", "verify"):
        assert (home / package / "__init__.py").is_file(), (
            f"heliostat.{package} is not in the wheel"
        )
        assert not (home / package).is_symlink()

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "greet.yaml"
        file.write_text(DEFINITION, encoding="utf-8")
        definition = hs.load_definition(file)
        assert definition.id == "greet"
        assert [step.id for step in definition.steps] == ["choose"]

        file.write_text(WRONG, encoding="utf-8")
        refusal = refused(hs, file)
        assert "chose" in refusal, f"the message does not name the misspelt step: {refusal}"

    for heavy in ("ray", "fastapi"):
        assert heavy not in sys.modules, f"reading a definition imported {heavy}"
    print(f"heliostat {hs.__version__} works from {home}")


def refused(hs: ModuleType, file: Path) -> str:
    """The text of the error that a wrong definition must raise."""
    try:
        hs.load_definition(file)
    except hs.HeliostatError as error:
        return str(error)
    raise AssertionError("a reference to a step that does not exist was accepted")


if __name__ == "__main__":
    main()
