"""`import heliostat`: light, typed, and the same in the code, for type checkers and in the docs."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import heliostat
from heliostat.actors.client.actor import ExecutionActor
from heliostat.actors.client.interface import Connection
from heliostat.actors.client.ray_connection import RayConnection

ROOT = Path(__file__).parents[2]
HEAVY = ("ray", "fastapi", "pyarrow", "pydantic", "numpy")


def test_importing_loads_nothing_heavy() -> None:
    code = f"import sys, heliostat; print([m for m in {HEAVY!r} if m in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_reading_a_definition_loads_no_ray() -> None:
    code = (
        "import sys, heliostat as hs; hs.load_definition; hs.connect; hs.Client; hs.step; "
        "hs.current; hs.Task; hs.simulate; print('ray' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True
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


FACES = (heliostat.Client, heliostat.Handle, heliostat.Task, ExecutionActor)


def methods(type_: type) -> dict[str, Callable[..., Any]]:
    """The public methods of a class, its bases' too."""
    found = inspect.getmembers(type_, inspect.isfunction)
    return {name: method for name, method in found if not name.startswith("_")}


@pytest.mark.parametrize("type_", FACES)
def test_every_method_is_documented(type_: type) -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in methods(type_):
        assert f"`{name.removesuffix('_async')}" in text, f"{type_.__name__}.{name}"


NO_WAIT = {"get", "actor"}
"""Ask nobody."""


@pytest.mark.parametrize("type_", FACES)
def test_each_method_that_waits_has_an_async_form_of_the_same_signature(type_: type) -> None:
    found = methods(type_)
    plain = {name for name in found if not name.endswith("_async")} - NO_WAIT
    assert {name for name in found if name.endswith("_async")} == {f"{n}_async" for n in plain}
    for name in plain:
        one, twin = (inspect.signature(found[each]) for each in (name, f"{name}_async"))
        assert one.parameters == twin.parameters, f"{type_.__name__}.{name}"
        answered = str(twin.return_annotation).replace("AsyncIterator", "Iterator")
        assert answered == str(one.return_annotation), f"{type_.__name__}.{name}"
        function = found[f"{name}_async"]
        assert inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def test_a_connection_by_ray_has_the_interface_of_all() -> None:
    """What type checkers see where one is given, also for the names of parameters."""
    wanted, there = methods(Connection), methods(RayConnection)
    assert set(there) - set(wanted) == {"feed", "stored", "plan", "attempts"}  # a door's
    assert set(wanted) <= set(there)
    for name in wanted:
        assert inspect.signature(there[name]) == inspect.signature(wanted[name]), name


def test_the_interface_and_the_faces_load_no_ray() -> None:
    code = (
        "import sys, heliostat.actors.client.interface, heliostat.actors.client.client; "
        "print('ray' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=True
    )
    assert ran.stdout.strip() == "False"
