"""`import heliostat`: light, typed, and the same in the code, for type checkers and in the docs."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import heliostat

ROOT = Path(__file__).parents[2]
HEAVY = ("ray", "fastapi", "pyarrow", "pydantic", "numpy")


def test_importing_loads_nothing_heavy() -> None:
    code = f"import sys, heliostat; print([m for m in {HEAVY!r} if m in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_reading_a_definition_loads_no_ray() -> None:
    code = (
        "import sys, heliostat as hs; hs.load_definition; hs.connect; hs.Client; hs.step; "
        "hs.current; hs.Task; hs.simulate; print('ray' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.strip() == "False"


def test_every_name_is_there() -> None:
    for name in heliostat.__all__:
        assert getattr(heliostat, name) is not None
    assert set(heliostat.__all__) <= set(dir(heliostat))


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "heliostat" / "__init__.py").read_text(encoding="utf-8"))
    (typed,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name
        for statement in typed.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen | {"__version__"} == set(heliostat.__all__)


def test_every_name_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^## `(?:hs\.)?([\w.]+)", text, flags=re.MULTILINE))
    assert documented == set(heliostat.__all__)


def test_every_method_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for type_ in (heliostat.Client, heliostat.Handle, heliostat.Task):
        for name in vars(type_):
            if not name.startswith("_") and name not in INTERNAL:
                assert f"`{name.removesuffix('_async')}" in text, f"{type_.__name__}.{name}"


INTERNAL = {"ask", "watch", "received", "output_of", "end"}
"""Between the modules of the client."""


def test_everything_that_waits_has_an_async_twin() -> None:
    """Of the same parameters, but for a few that only pass them on."""
    no_wait = {"get", "results"}  # asks nobody; waits in an iterator
    for type_ in (heliostat.Client, heliostat.Handle, heliostat.Task):
        methods = {name for name, value in vars(type_).items() if inspect.isfunction(value)}
        public = {name for name in methods if not name.startswith("_")} - INTERNAL - no_wait
        for name in {name for name in public if not name.endswith("_async")}:
            assert f"{name}_async" in methods, f"{type_.__name__}.{name}"
            plain, twin = (
                list(inspect.signature(getattr(type_, each)).parameters)
                for each in (name, f"{name}_async")
            )
            assert twin in (plain, ["self", "filters"]) or (type_.__name__, name) in SHORTER


SHORTER = {("Client", "start_many")}
"""Twins without a parameter that the plain form has."""
