"""What a compiled function brings along to its registration, and which version it becomes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import heliostat as hs
from heliostat.actors.client.functions import prepare_function, unshipped, with_children
from heliostat.actors.client.pinning import in_order
from heliostat.api.client.writing import text_of
from heliostat.engine.authoring.bundle import functions_of
from heliostat.engine.errors import DefinitionError, InputError
from heliostat.engine.journal.blobs import FileBlobStore

SHOP = """\
import heliostat as hs
from compiled_tax import rate

class Declined(Exception): ...

@hs.step(retry=hs.Retry(max_attempts=3))
def charge(total: float) -> float:
    return total * rate()

@hs.step
def ship(total: float) -> str:
    return f"for {total}"

@hs.workflow
def parcel(total: float) -> str:
    return ship(total)

@hs.workflow
def checkout(total: float) -> str:
    paid = charge(total)
    return parcel(paid)

@hs.workflow
def other(total: float) -> float:
    return charge(total)
"""
TAX = "def rate() -> float:\n    return 2.0\n"

Read = Callable[..., Any]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Imports the shop anew, from a text and the module beside it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def read(shop: str = SHOP, tax: str = TAX) -> Any:
        (tmp_path / "compiled_shop.py").write_text(shop)
        (tmp_path / "compiled_tax.py").write_text(tax)
        for name in ("compiled_shop", "compiled_tax"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("compiled_shop")

    return read


@pytest.fixture
def version(tmp_path: Path) -> Callable[[Any], str]:
    """The name of the version that a function is registered as, with its children before it."""
    blobs = FileBlobStore(tmp_path / "blobs")

    def named(workflow: Any) -> str:
        children = {
            step.id: named(compiled)
            for step in workflow.definition.steps
            if step.type == "sub_workflow"
            for compiled in workflow.children()
            if compiled.id == step.workflow
        }
        return prepare_function(workflow).stored(blobs, children=children).version

    return named


class TestShipping:
    def test_the_modules_beside_a_function_are_shipped(self, read: Read, tmp_path: Path) -> None:
        prepared = prepare_function(read().checkout)
        assert b"compiled_tax.py" in prepared.bundle
        assert prepared.activities["paid"].retry.max_attempts == 3

    def test_the_workflows_that_it_starts_come_along_once(self, read: Read) -> None:
        shop = read()
        assert with_children([shop.checkout, shop.other]) == [
            shop.checkout,
            shop.other,
            shop.parcel,
        ]
        assert with_children([shop.parcel, shop.checkout]) == [shop.parcel, shop.checkout]

    def test_workflows_that_call_each_other_leave_one_version_open(self) -> None:
        @hs.workflow
        def ping(n: int) -> int:
            return pong(n - 1) if n > 0 else 0

        @hs.workflow
        def pong(n: int) -> int:
            return ping(n)

        @hs.workflow
        def open_pong(n: int) -> int:
            return open_ping.using(version="latest")(n)

        @hs.workflow
        def open_ping(n: int) -> int:
            return open_pong(n - 1) if n > 0 else 0

        def ordered(workflow: Any) -> list[str]:
            prepared = [prepare_function(each) for each in (workflow, *workflow.children())]
            return [each.id for each in in_order(prepared)]

        with pytest.raises(DefinitionError, match=r"ping → pong → ping(.|\n)*version=.latest"):
            ordered(ping)
        assert ordered(open_ping) == ["open-pong", "open-ping"]

    def test_a_step_of_a_function_is_shipped_by_value(self) -> None:
        from ray import cloudpickle

        factor = 3

        @hs.step
        def times(n: int) -> int:
            return n * factor

        @hs.workflow
        def main(n: int) -> int:
            return times(n)

        shipped = functions_of(prepare_function(main).bundle)
        assert cloudpickle.loads(shipped["times"])(4) == 12

    def test_annotations_that_are_texts_are_shipped_as_what_they_name(self) -> None:
        from ray import cloudpickle

        @hs.step
        def times(n: int) -> int:
            return n

        times.function.__annotations__ = {"n": "int", "return": "int"}

        @hs.workflow
        def main(n: int) -> int:
            return times(n)

        shipped = cloudpickle.loads(functions_of(prepare_function(main).bundle)["times"])
        assert shipped.__annotations__ == {"n": int, "return": int}
        assert times.function.__annotations__ == {"n": "int", "return": "int"}

    def test_a_step_that_no_runner_would_find_is_refused(
        self, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "compiled_far.py").write_text(
            "import heliostat as hs\n@hs.step\ndef far(x: float) -> float: ...\n"
        )
        monkeypatch.syspath_prepend(str(elsewhere))
        sys.modules.pop("compiled_far", None)
        shop = read(
            SHOP.replace("from comp", "from compiled_far import far\nfrom comp").replace(
                "charge(total)\n    return parcel", "far(total)\n    return parcel"
            )
        )
        with pytest.raises(InputError, match=r"`compiled_far:far` lies in .*--code"):
            prepare_function(shop.checkout)
        assert prepare_function(shop.checkout, code_path=[elsewhere]).bundle

    def test_what_registers_compensation_is_refused_with_its_line(self, read: Read) -> None:
        shop = read(SHOP.replace("return parcel(paid)", "hs.undo(ship, paid)\n    return 'x'"))
        with pytest.raises(
            DefinitionError, match=r"compiled_shop\.py:21:5 error.HS012(.|\n)*\^\^"
        ) as e:
            prepare_function(shop.checkout)
        assert "in an `except`" in str(e.value)


def ran(folder: Path, text: str, *, seed: int = 0) -> str:
    """What a script prints, in a process of its own."""
    (folder / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env=os.environ | {"PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_a_script_annotates_is_known_in_another_process(tmp_path: Path) -> None:
    """Classes of a script travel with its steps, and arguments become instances of them."""
    script = dedent("""\
        from __future__ import annotations
        from dataclasses import dataclass, field
        from enum import Enum
        from pathlib import Path
        from typing import TypedDict
        from pydantic import BaseModel
        import heliostat as hs
        from heliostat.actors.client.functions import prepare_function
        from heliostat.engine.authoring.bundle import functions_of

        @dataclass
        class Line:
            sku: str
            count: int = 1

        @dataclass
        class Order:
            id: str
            lines: list[Line] = field(default_factory=list)

        class Extra(TypedDict):
            line: Line

        class Color(Enum):
            RED = "red"

        class Outer(BaseModel):
            inner: Inner

        class Inner(BaseModel):
            n: int

        @hs.step
        def total(order: Order, extra: Extra, color: Color, outer: Outer) -> int:
            assert isinstance(order.lines[0], Line)
            assert isinstance(extra["line"], Line)
            assert color is Color.RED
            return sum(line.count for line in order.lines) + outer.inner.n

        @hs.workflow
        def main(order: Order, extra: Extra, color: Color, outer: Outer) -> int:
            return total(order, extra, color, outer)

        pickled = functions_of(prepare_function(main).bundle)["total"]
        Path("total.pickle").write_bytes(pickled)
        assert Order.__annotations__["lines"] == "list[Line]"
    """)
    reader = dedent("""\
        import pickle
        from pathlib import Path
        from heliostat.actors.runner.arguments import Signature

        total = pickle.loads(Path("total.pickle").read_bytes())
        line = {"sku": "a", "count": 2}
        given = {"order": {"id": "o", "lines": [line]}, "extra": {"line": line}, "color": "red"}
        print(total(**Signature(total).bind({**given, "outer": {"inner": {"n": 3}}})))
    """)
    ran(tmp_path, script)
    assert ran(tmp_path, reader) == "5\n"


class TestVersions:
    """A version is another one when something runs differently, and only then."""

    def test_a_function_that_only_moved_is_the_same_version(
        self, read: Read, version: Callable[[Any], str]
    ) -> None:
        before = version(read().checkout)
        moved = "# a comment\n\n" + SHOP.replace("@hs.step\ndef", "# why\n\n@hs.step\ndef")
        shop = read(moved)
        assert version(shop.checkout) == before
        assert shop.checkout.definition.metadata["python"]["places"]["paid"].startswith(
            "compiled_shop.py:24:"
        )

    def test_functions_in_another_order_are_the_same_version(
        self, read: Read, version: Callable[[Any], str]
    ) -> None:
        before = version(read().checkout)
        head, charge, rest = SHOP.partition("@hs.step(retry")
        step, ship, tail = rest.partition("@hs.step\n")
        body, flows, end = tail.partition("@hs.workflow")
        assert version(read(head + ship + body + charge + step + flows + end).checkout) == before

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("return total * rate()", "return total + rate()"),
            ("max_attempts=3", "max_attempts=4"),
            ("    paid = charge(total)", "    paid = charge(total + 1)"),
            ("    return ship(total)\n\n@", "    return ship(total + 1)\n\n@"),
        ],
        ids=["a step's code", "a step's option", "its own code", "a child's code"],
    )
    def test_an_edit_makes_another_version(
        self, read: Read, version: Callable[[Any], str], old: str, new: str
    ) -> None:
        before = version(read().checkout)
        assert SHOP.count(old) == 1
        assert version(read(SHOP.replace(old, new)).checkout) != before

    def test_code_that_steps_import_makes_another_version(
        self, read: Read, version: Callable[[Any], str]
    ) -> None:
        before = version(read().checkout)
        assert version(read(tax=TAX.replace("2.0", "2.5")).checkout) != before

    def test_what_no_runner_runs_makes_none(
        self, read: Read, version: Callable[[Any], str]
    ) -> None:
        before = version(read().checkout)
        edited = SHOP.replace("-> float:\n    return charge(total)", "-> float:\n    return total")
        script = "\nif __name__ == '__main__':\n    checkout.run(1.0)\n"
        assert version(read(edited + script).checkout) == before
        runs = "\nif __name__ != '__main__':\n    Declined = ValueError\n"
        assert version(read(edited + runs).checkout) != before

    def test_a_version_that_the_user_says_is_it(
        self, read: Read, version: Callable[[Any], str]
    ) -> None:
        said = SHOP.replace("@hs.workflow\ndef other", '@hs.workflow(version="7")\ndef other')
        assert version(read(said).other) == "7"

    def test_a_script_is_the_same_version_in_every_process(self, tmp_path: Path) -> None:
        script = dedent("""\
            from __future__ import annotations
            import functools
            from pathlib import Path
            import heliostat as hs
            from heliostat.actors.client.functions import prepare_function
            from heliostat.engine.journal.blobs import FileBlobStore
            from pydantic import BaseModel

            WORDS = {"a", "b", "c"}
            TABLE = {"x": (1, 2.5), "y": WORDS}

            class Order(BaseModel):
                id: str
                def name(self) -> str:
                    return helper(self.id)

            def helper(text: str, ends=functools.partial(str.strip, "!")) -> str:
                return text if text in TABLE else helper("x")

            @hs.step
            def named(order: Order) -> str:
                return order.name()

            @hs.workflow
            def main(order: Order) -> str:
                return named(order)

            print(prepare_function(main).stored(FileBlobStore(Path("blobs"))).version)
        """)

        first = ran(tmp_path, script, seed=1)
        assert ran(tmp_path, "# moved\n" + script, seed=2) == first
        assert ran(tmp_path, script.replace('"c"}', '"d"}')) != first
        assert ran(tmp_path, script.replace("else helper(", "else str(")) != first


class TestOverHttp:
    """No code is shipped: steps must be importable where runners are."""

    def test_steps_of_a_script_are_refused_with_the_cure(self) -> None:
        @hs.step
        def times(n: int) -> int:
            return n

        @hs.workflow
        def main(n: int) -> int:
            return times(n)

        with pytest.raises(InputError, match=r"no code is shipped.*`times`.*--code"):
            text_of(main, namespace="default", dev=False)

    def test_a_module_is_named_and_its_code_makes_the_version(self, read: Read) -> None:
        before = text_of(read().checkout, namespace="default", dev=False).definition.version
        again = unshipped(read("# moved\n" + SHOP).checkout).version
        child = unshipped(read(SHOP.replace("ship(total)\n", "ship(total + 1)\n", 1)).checkout)
        code = unshipped(read(tax=TAX.replace("2.0", "3.0")).checkout)
        assert before == again
        assert len({before, child.version, code.version}) == 3
