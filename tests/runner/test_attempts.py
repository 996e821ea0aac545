"""What happens around user code: arguments, errors, output, bundles; in this process."""

from __future__ import annotations

import io
import textwrap
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.dispatch.protocol import Raised, Returned
from heliostat.actors.runner.current import NoAttempt, current
from heliostat.engine.authoring.bundle import bundle_modules
from tests.runner.bench import Bench, open_bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with open_bench(tmp_path) as bench:
        yield bench


class TestArguments:
    def test_are_converted_to_the_annotations(self, bench: Bench) -> None:
        bench.write(
            "args1",
            """
            from __future__ import annotations
            import dataclasses, datetime, typing, pydantic

            class Size(typing.TypedDict, total=False):
                n: typing.Required[int]
                unit: str

            class Line(pydantic.BaseModel):
                n: int

            @dataclasses.dataclass
            class Box:
                raw: bytes

            def kinds(day: datetime.date, line: Line, lines: list[Line], raw: bytes, box: Box,
                      pair: tuple[int, str], size: Size, anything, other: typing.Any = 7):
                return [type(v).__name__ for v in (day, line, lines[0], raw, box.raw, pair)] + [
                    raw.decode(), box.raw.decode(), size, anything, other]
            """,
        )
        report = bench.call(
            "args1:kinds",
            {
                "day": "2026-03-01",
                "line": {"n": 1},
                "lines": [{"n": 2}],
                "raw": "YWI=",
                "box": {"raw": "YWI="},
                "pair": [1, "x"],
                "size": {"n": "1"},
                "anything": {"a": 1},
            },
        )
        assert isinstance(report, Returned), report
        kinds = ["date", "Line", "Line", "bytes", "bytes", "tuple"]
        assert report.output == [*kinds, "ab", "ab", {"n": 1}, {"a": 1}, 7]

    @pytest.mark.parametrize(
        ("input", "told"),
        [
            ({"n": "many"}, "'n'"),
            ({}, "no value for the parameter 'n'"),
            ({"n": 1, "m": 2}, "no parameter 'm'"),
            ([1], "a list"),
        ],
    )
    def test_unfit_ones_are_a_schema_error(self, bench: Bench, input: Any, told: str) -> None:
        bench.write("args2", "def f(n: int): return n")
        report = bench.call("args2:f", input)
        assert isinstance(report, Raised)
        assert report.failure.type == "SchemaError"
        assert told in report.failure.message

    def test_objects_pass_as_they_are(self, bench: Bench) -> None:
        bench.write(
            "args3",
            """
            import pyarrow
            def make(): return {"t": pyarrow.table({"a": [1, 2]})}
            def use(t: pyarrow.Table): return t.num_rows
            """,
        )
        made = bench.call("args3:make").output
        assert bench.call("args3:use", made).output == 2

    def test_arrays_and_frames_are_shared_and_a_refusal_says_so(self, bench: Bench) -> None:
        bench.write(
            "args4",
            """
            import numpy, pandas
            def make(): return {"a": numpy.ones(20_000), "f": pandas.DataFrame({"n": [1.5, 2.5]})}
            def array(a, f): a[0] = 7
            def frame(a, f): f.loc[0, "n"] = 7.0
            def copy(a, f):
                f = f.copy()
                f.loc[0, "n"] = 7.0
                return {"sum": float((a * 2).sum()), "n": f["n"][0]}
            """,
        )
        made = bench.call("args4:make").output
        for step in ("array", "frame"):
            report = bench.call(f"args4:{step}", made)
            assert isinstance(report, Raised)
            assert "read-only (arrays and frames" in report.failure.message
            assert "change a copy" in report.failure.message
        assert bench.call("args4:copy", made).output == {"sum": 40_000.0, "n": 7.0}


class TestErrors:
    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            ("raise KeyError('x')", "KeyError"),
            ("raise MemoryError", "OutOfMemory"),
            ("import sys; sys.exit(3)", "SystemExit"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt"),
            ("return f()", "RecursionError"),
            ("import threading; return threading.Lock()", "UnserializableResult"),
            ("raise Sly", "Sly"),
        ],
    )
    def test_every_kind_is_recorded(self, bench: Bench, body: str, kind: str) -> None:
        bench.write(
            f"errors_{kind.lower()}",
            f"""
            class Sly(Exception):
                def __str__(self): raise SystemExit
                __repr__ = __str__
            def f():
                {body}
            """,
        )
        report = bench.call(f"errors_{kind.lower()}:f")
        assert isinstance(report, Raised)
        assert report.failure.type == kind
        assert report.failure.mro[0] == kind
        assert "BaseException" in report.failure.mro
        assert report.failure.step == "s"
        assert report.failure.attempt == 4

    def test_tracebacks_begin_in_the_users_code(self, bench: Bench) -> None:
        bench.write("errors1", "def f():\n    raise ValueError('y' * 50_000)")
        failure = bench.call("errors1:f").failure
        assert "errors1.py" in failure.traceback
        assert "attempt.py" not in failure.traceback
        assert len(failure.message) < 10_000
        assert len(failure.traceback) < 20_000

    def test_tracebacks_name_shipped_modules_by_their_names(self, bench: Bench) -> None:
        code = bench.bundle("def f():\n    raise ValueError('it')")
        failure = bench.call("steps:f", code=code).failure
        assert 'File "steps.py", line 2, in f\n    raise ValueError' in failure.traceback

    def test_of_a_module_that_does_not_import(self, bench: Bench) -> None:
        bench.write("errors2", "import there_is_no_such_module")
        assert bench.call("errors2:f").failure.type == "ModuleNotFoundError"
        assert bench.call("os:there_is_none").failure.type == "TargetError"


class TestOutput:
    def test_what_is_printed_is_kept_with_its_tail(self, bench: Bench) -> None:
        bench.write(
            "prints",
            """
            import sys
            def f(n):
                print("x" * n)
                print("end", file=sys.stderr)
                sys.stdout.buffer.write(b"bytes")
            def rude():
                sys.stdout.close()
                sys.stdout = None
            """,
        )
        report = bench.call("prints:f", {"n": 3})
        assert (report.stdout, report.stderr) == ("xxx\nbytes", "end\n")
        report = bench.call("prints:f", {"n": 100_000})
        assert len(report.stdout) < 17_000
        assert report.stdout.endswith("bytes")
        bench.call("prints:rude")
        assert bench.call("prints:f", {"n": 1}).stdout == "x\nbytes"


class TestKindsOfFunctions:
    def test_async_generators_and_current(self, bench: Bench) -> None:
        bench.write(
            "kinds",
            """
            import asyncio
            from heliostat.actors.runner.current import current
            async def later(x):
                await asyncio.sleep(0)
                asyncio.get_running_loop().create_task(asyncio.sleep(60))
                return current().idempotency_key
            def counts():
                for n in range(3):
                    yield {"n": n}
                return "all"
            async def streams():
                for n in range(3):
                    yield n
            class Callable:
                def __call__(self, x: int): return x
            instance = Callable()
            """,
        )
        assert bench.call("kinds:later", {"x": 1}).output == "ns/ex:1:s:3"
        assert bench.call("kinds:counts").output == "all"
        assert bench.progress[0] == {"n": 0}
        assert bench.call("kinds:streams").output == 2
        assert bench.call("kinds:instance", {"x": "3"}).output == 3

    def test_current_outside_is_an_error(self) -> None:
        import threading

        caught: list[BaseException] = []

        def ask() -> None:
            try:
                current()
            except NoAttempt as error:
                caught.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        assert "inside a step" in str(caught[0])


class TestBundles:
    def test_two_with_modules_of_one_name(self, bench: Bench) -> None:
        source = textwrap.dedent(
            """
            count = 0
            def f():
                global count
                count += 1
                import steps
                return [{}, count, steps.count]
            """
        )
        first, second = bench.bundle(source.format(1)), bench.bundle(source.format(2))
        bench.write("steps", source.format(3))
        outputs = [bench.call("steps:f", code=code).output for code in (first, second, None) * 2]
        assert outputs == [[1, 1, 1], [2, 1, 1], [3, 1, 1], [1, 2, 2], [2, 2, 2], [3, 2, 2]]

    def test_functions_by_value(self, bench: Bench, tmp_path: Path) -> None:
        from ray import cloudpickle

        def local(x: int) -> int:
            return x * 2

        data = bundle_modules(tmp_path, [], functions={"double": cloudpickle.dumps(local)})
        code = bench.blobs.put("default", data)
        assert bench.call("double", {"x": "4"}, code=code).output == 8

    def test_one_that_leads_outside_is_refused(self, bench: Bench) -> None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("../evil.py", "x = 1")
        code = bench.blobs.put("default", buffer.getvalue())
        failure = bench.call("evil:f", code=code).failure
        assert failure.type == "CodeError"
        assert not (bench.folder / "evil.py").exists()

    def test_a_missing_one_is_told(self, bench: Bench) -> None:
        failure = bench.call("a:f", code="default/" + "0" * 64).failure
        assert failure.type == "NotFound"
