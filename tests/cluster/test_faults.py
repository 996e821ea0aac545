"""What goes wrong in practice, on a real deployment: each fault has a clear end, in bounded time.

The rows of docs/faults.md name these tests; the last one here compares the two.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import heliostat as hs
from heliostat.actors.client.client import Client
from heliostat.engine.errors import (
    DefinitionError,
    Duplicate,
    ExecutionCanceled,
    ExecutionFailed,
    InputError,
)
from tests.cluster.conftest import BOUND_S, Shared

pytestmark = pytest.mark.long

STEPS = Path(__file__).with_name("faulty_steps.py")
DOCS = Path(__file__).parents[2] / "docs" / "faults.md"

SOON_S = 30.0
"""A fault that is told "at once" is told within this, on a machine that does other things too."""


@dataclass(frozen=True)
class Bench:
    """A folder with the steps, and a client: a test says the steps of its definition only."""

    client: Client
    folder: Path

    @property
    def ledger(self) -> Path:
        """Where steps note what they did."""
        return self.folder / "ledger"

    def noted(self) -> list[str]:
        return self.ledger.read_text().splitlines() if self.ledger.exists() else []

    def define(self, id: str, steps: str, rest: str = "") -> str:
        """Write and register a definition, with its code; returns its id."""
        self.client.register(self.write(id, steps, rest))
        return id

    def write(self, id: str, steps: str, rest: str = "") -> Path:
        file = self.folder / f"{id}.yaml"
        file.write_text(f'id: {id}\nversion: "1"\n{rest}\nsteps:\n{steps}')
        return file

    def start(self, id: str, steps: str, input: Any = None, *, rest: str = "") -> hs.Handle:
        """Define and start."""
        return self.client.start(self.define(id, steps, rest), input)

    def await_noted(self, line: str) -> None:
        eventually(lambda: line in self.noted(), f"a step notes {line!r}")


@pytest.fixture
def bench(client: Client, tmp_path: Path) -> Bench:
    shutil.copy(STEPS, tmp_path)
    return Bench(client, tmp_path)


def activity(function: str, *fields: str, id: str = "a", input: str = "") -> str:
    """A step in YAML's flow style."""
    head = [f"id: {id}", "type: activity", f'activity: "faulty_steps:{function}"']
    given = [f"input: {{{input}}}"] if input else []
    return f"  - {{{', '.join([*head, *given, *fields])}}}\n"


def failure_of(handle: hs.Handle, within_s: float = BOUND_S) -> Mapping[str, Any]:
    """What the execution failed with."""
    with pytest.raises(ExecutionFailed) as caught:
        handle.result(within_s)
    assert handle.id in str(caught.value)
    return caught.value.failure


def kinds(handle: hs.Handle) -> list[str]:
    return [event["type"] for event in handle.history()]


def eventually(condition: Callable[[], object], what: str) -> None:
    end_at = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end_at, f"did not happen: {what}"
        time.sleep(0.02)


class TestDefinition:
    """Refused before anything runs, with the place and the cure; the command ends with 2."""

    @pytest.mark.parametrize(
        ("steps", "code", "told"),
        [
            pytest.param("  - {id: a, type: [", "HS002", "expected", id="broken YAML"),
            pytest.param(
                activity("echo", "next: paied", input="value: 1"), "HS201", "paied", id="step"
            ),
            pytest.param(activity("ecko"), "HS302", "ecko", id="function"),
            pytest.param(
                activity("echo", "retries: 3", input="value: 1"), "HS011", "retries", id="field"
            ),
            pytest.param(
                "  - {id: a, type: decision, output: '${ 1 + \"x\" }'}\n",
                "HS105",
                "+",
                id="type clash",
            ),
            pytest.param(
                "  - {id: a, type: decision, needs: [b]}\n"
                "  - {id: b, type: decision, needs: [a]}\n",
                "HS203",
                "b",
                id="cyclic needs",
            ),
        ],
    )
    def test_a_faulty_file_is_refused(
        self, deployment: Shared, bench: Bench, steps: str, code: str, told: str
    ) -> None:
        file = bench.write("faulty", steps)
        ran = deployment.here("run", str(file))
        assert (ran.code, ran.out) == (2, ""), ran.err
        place = re.search(rf"faulty\.yaml:(\d+):(\d+) error\[{code}\]", ran.err)
        assert place is not None, ran.err
        assert int(place[1]) >= 4  # the line of the step, or of the end of the text
        assert told in ran.err
        assert "Traceback" not in ran.err

    def test_all_faults_are_told_at_once(self, bench: Bench) -> None:
        steps = activity("ecko", "next: nowhere") + activity("echo", "retries: 3", id="b")
        with pytest.raises(DefinitionError) as caught:
            bench.define("many", steps)
        codes = [diagnostic.code for diagnostic in caught.value.diagnostics]
        assert {"HS201", "HS011"} <= set(codes)
        assert str(caught.value).count("error[HS") == len(codes)
        assert bench.client.definitions("many") == []


class TestRequest:
    def test_the_same_start_twice_is_one_execution(self, bench: Bench) -> None:
        id = bench.define("once", activity("nap", input="seconds: 0, value: $.input.n"))
        handles = [bench.client.start(id, {"n": 1}, id="once-1") for _ in range(3)]
        assert {handle.result(BOUND_S) for handle in handles} == {1}
        assert kinds(handles[0]).count("execution.started") == 1
        assert kinds(handles[0]).count("step.completed") == 1

    def test_another_start_with_the_id_is_refused(self, bench: Bench) -> None:
        one = bench.define("one", activity("echo", input="value: $.input.n"))
        other = bench.define("other", activity("echo", input="value: $.input.n"))
        first = bench.client.start(one, {"n": 1}, id="taken-1")
        with pytest.raises(Duplicate, match=r"taken-1.* with another input"):
            bench.client.start(one, {"n": 2}, id="taken-1")
        with pytest.raises(Duplicate, match=r"taken-1.* 'one'"):
            bench.client.start(other, {"n": 1}, id="taken-1")
        assert first.result(BOUND_S) == 1

    def test_an_input_that_breaks_the_schema(self, bench: Bench) -> None:
        rest = "input_schema: {type: object, properties: {n: {type: integer}}, required: [n]}"
        id = bench.define("schema-in", activity("echo", input="value: $.input.n"), rest)
        with pytest.raises(InputError, match=r"(?s)input_schema.*'many'"):
            bench.client.start(id, {"n": "many"}, id="never-1")
        with pytest.raises(hs.errors.NotFound):
            bench.client.get("never-1").status()

    def test_an_output_that_breaks_the_schema(self, bench: Bench) -> None:
        rest = "output_schema: {type: integer}"
        handle = bench.start("schema-out", activity("echo", input="value: many"), rest=rest)
        failure = failure_of(handle)
        assert failure["type"] == "SchemaError"
        assert "'many' is not of type 'integer'" in failure["message"]
        assert kinds(handle)[-1] == "execution.failed"


class TestExpression:
    def test_foreach_over_what_is_no_list(self, bench: Bench) -> None:
        steps = activity("echo", "foreach: $.input.items", input="value: $.item")
        failure = failure_of(bench.start("no-list", steps, {"items": "abc"}), SOON_S)
        assert (failure["type"], failure["step"]) == ("ExpressionError", "a")
        assert "list" in failure["message"]

    def test_no_condition_holds(self, bench: Bench) -> None:
        steps = activity("echo", "next: [{when: $.output > 9, to: b}]", input="value: 1")
        failure = failure_of(bench.start("no-way", steps + activity("who", id="b")), SOON_S)
        assert (failure["type"], failure["step"]) == ("NoWayOn", "a")
        assert "$.output > 9" in failure["message"]

    def test_a_value_inside_a_large_output_can_be_read(self, bench: Bench) -> None:
        steps = (
            activity("large", "next: b", input="megabytes: 50")
            + "  - {id: b, type: decision, output: {n: $.steps.a.output.meta.rows,"
            " one: '$.steps.a.output.rows[49999]', ready: $.steps.a.output.meta.ready}}\n"
        )
        read = bench.start("extract", steps, rest="output: $.steps.b.output").result(BOUND_S)
        assert read == {"n": 50_000, "one": "x" * 997, "ready": True}

    def test_more_than_expressions_read_is_refused_by_its_path(self, bench: Bench) -> None:
        steps = (
            activity("large", "next: b", input="megabytes: 5")
            + "  - {id: b, type: decision, output: '${ len($.steps.a.output.rows) }'}\n"
        )
        failure = failure_of(bench.start("too-large", steps), BOUND_S)
        assert (failure["type"], failure["step"]) == ("ExpressionError", "b")
        assert "$.steps.a.output.rows" in failure["message"]
        assert "return the figure as a field beside it" in failure["message"]


class TestLargeValue:
    """50 MB on the way: to the next step and to the client, whole."""

    def test_json(self, bench: Bench) -> None:
        steps = activity("large", "next: b", input="megabytes: 50") + activity(
            "measure", id="b", input="value: $.steps.a.output"
        )
        rest = "output: {rows: $.steps.a.output, sum: $.steps.b.output}"
        handle = bench.start("large-json", steps, rest=rest)
        output = handle.result(BOUND_S)
        assert output["sum"] == 50_000 * 997
        assert output["rows"]["rows"] == ["x" * 997] * 50_000
        assert output["rows"]["meta"] == {"rows": 50_000, "ready": True}
        assert len(str(handle.history())) < 20_000  # the history holds a reference

    def test_an_arrow_table(self, bench: Bench) -> None:
        steps = activity("table", "next: b", input="megabytes: 50") + activity(
            "add_up", id="b", input="rows: $.steps.a.output"
        )
        rest = "output: {table: $.steps.a.output, sum: $.steps.b.output}"
        output = bench.start("large-table", steps, rest=rest).result(BOUND_S)
        n = 50_000_000 // 8
        assert output["sum"] == n * (n - 1) // 2
        assert output["table"].num_rows == n
        assert output["table"]["n"][n - 1].as_py() == n - 1


class TestStep:
    """A step's own faults; the deployment and its neighbours are none the worse."""

    def test_raises(self, bench: Bench) -> None:
        handle = bench.start("raises", activity("fail"))
        failure = failure_of(handle, SOON_S)
        assert (failure["type"], failure["step"]) == ("NoSuchOrder", "a")
        assert failure["message"] == "order 4711 does not exist"
        assert 'raise NoSuchOrder("order 4711 does not exist")' in failure["traceback"]
        assert failure["stdout"] == "looking for the order\n"
        assert failure["stderr"] == "not found\n"
        (failed,) = [event for event in handle.history() if event["type"] == "step.failed"]
        assert failed["failure"]["traceback"] == failure["traceback"]
        assert failed["failure"]["mro"][:2] == ["NoSuchOrder", "LookupError"]

    def test_what_it_prints_is_in_the_history(self, bench: Bench) -> None:
        handle = bench.start("prints", activity("speak"))
        assert handle.result(BOUND_S) == "said"
        (completed,) = [event for event in handle.history() if event["type"] == "step.completed"]
        assert completed["stdout"] == "hello from stdout\n"
        assert completed["stderr"] == "hello from stderr\n"

    def test_returns_what_cannot_be_written(self, bench: Bench) -> None:
        failure = failure_of(bench.start("lock", activity("return_lock")), SOON_S)
        assert failure["type"] == "UnserializableResult"
        assert "the result['lock']" in failure["message"]
        assert "lock" in failure["message"]

    def test_ends_its_process(self, bench: Bench) -> None:
        bench.define("quiet", activity("nap", input="seconds: 0.01, value: $.input.n"))
        handle = bench.start(
            "leaves", activity("leave", input="ledger: $.input"), str(bench.ledger)
        )
        quiet = bench.client.start_many("quiet", [{"n": n} for n in range(100)])
        failure = failure_of(handle)
        assert failure["type"] == "RunnerLost"
        assert "3" in failure["message"]
        lost = [event for event in handle.history() if event["type"] == "attempt.lost"]
        assert [event.get("counted", False) for event in lost].count(True) == 3
        assert len(set(bench.noted())) == 1  # the same idempotency key each time
        assert len(bench.noted()) == len(lost)
        ended = {each.id: each.result() for each in bench.client.results(quiet, BOUND_S)}
        assert ended == {each.id: n for n, each in enumerate(quiet)}

    def test_crashes_once(self, bench: Bench) -> None:
        handle = bench.start(
            "segfault", activity("crash_at_first", input="ledger: $.input"), str(bench.ledger)
        )
        assert handle.result(BOUND_S) == 2
        keys = [line.split() for line in bench.noted()]
        assert [attempt for _, attempt in keys] == ["1", "2"]
        assert len({key for key, _ in keys}) == 1
        assert kinds(handle).count("attempt.lost") == 1

    def test_that_must_not_run_twice_is_not_repeated(self, bench: Bench) -> None:
        steps = activity(
            "crash", "effects: at_most_once", "retry: {max_attempts: 5}", input="ledger: $.input"
        )
        handle = bench.start("at-most-once", steps, str(bench.ledger))
        assert failure_of(handle)["type"] == "RunnerLost"
        assert len(bench.noted()) == 1

    def test_asks_for_more_memory_than_there_is(self, bench: Bench) -> None:
        handle = bench.start("memory", activity("ask_for_too_much"))
        failure = failure_of(handle, SOON_S)
        assert failure["type"] == "OutOfMemory"
        assert "MemoryError" in failure["mro"]
        steps = activity("ask_for_too_much", "on_error: [{error: OutOfMemory, output: less}]")
        assert bench.start("memory-caught", steps).result(BOUND_S) == "less"

    def test_hangs_and_is_made_again(self, bench: Bench) -> None:
        steps = activity(
            "hang_at_first",
            "timeout: 500ms",
            "grace: 100ms",
            "retry: {max_attempts: 2, initial: 10ms}",
            input="seconds: 600",
        )
        handle = bench.start("hangs", steps)
        assert handle.result(BOUND_S) == 2
        (stopping,) = [event for event in handle.history() if event["type"] == "attempt.stopping"]
        assert stopping["failure"]["type"] == "Timeout"

    def test_hangs_in_c_code(self, bench: Bench) -> None:
        steps = activity("hang_in_c", "timeout: 500ms", "grace: 100ms", input="seconds: 600")
        failure = failure_of(bench.start("hangs-in-c", steps))
        assert (failure["type"], failure["step"]) == ("Timeout", "a")
        assert "500" in failure["message"] or "0.5" in failure["message"]

    def test_async(self, bench: Bench) -> None:
        handle = bench.start("async", activity("greet", input="name: world"))
        assert handle.result(BOUND_S) == "hello world"

    def test_generator_tells_how_far_it_is(self, bench: Bench) -> None:
        gate = bench.folder / "gate"
        handle = bench.start("generator", activity("count_up", input="gate: $.input"), str(gate))
        eventually(lambda: handle.status().active, "the step runs")
        gate.touch()
        assert handle.result(BOUND_S) == "counted"


class TestResources:
    @pytest.mark.parametrize(
        ("id", "wanted", "told"),
        [
            ("gpu", "num_gpus: 1", "GPU: 1}"),
            ("memory", "memory: 100TiB", "memory: 1.09951e+14}"),
            ("custom", "custom: {robot: 2}", "robot: 2}"),
        ],
    )
    def test_that_no_node_has(self, bench: Bench, id: str, wanted: str, told: str) -> None:
        steps = activity("who", f"resources: {{{wanted}}}")
        failure = failure_of(bench.start(f"no-{id}", steps), SOON_S)
        assert (failure["type"], failure["step"]) == ("Unschedulable", "a")
        assert told in failure["message"]
        assert "the most that any has is" in failure["message"]

    def test_a_cpu_of_its_own_and_ray_inside(self, bench: Bench) -> None:
        steps = activity("nested", "resources: {num_cpus: 1}", input="n: 20")
        handle = bench.start("nested", steps)
        assert handle.result(BOUND_S) == 82
        (completed,) = [event for event in handle.history() if event["type"] == "step.completed"]
        assert "launcher" in completed["runner"]

    def test_hangs(self, bench: Bench) -> None:
        fields = ("resources: {num_cpus: 1}", "timeout: 500ms", "grace: 100ms")
        handle = bench.start("launched-hang", activity("nap", *fields, input="seconds: 600"))
        assert failure_of(handle)["type"] == "Timeout"

    def test_ends_its_process(self, bench: Bench) -> None:
        steps = activity(
            "crash", "resources: {num_cpus: 1}", "effects: at_most_once", input="ledger: $.input"
        )
        handle = bench.start("launched-crash", steps, str(bench.ledger))
        assert failure_of(handle)["type"] == "RunnerLost"
        assert len(bench.noted()) == 1


class TestCancel:
    def test_a_step_that_listens(self, bench: Bench) -> None:
        handle = bench.start(
            "listens", activity("until_cancelled", input="ledger: $.input"), str(bench.ledger)
        )
        bench.await_noted("runs")
        handle.cancel("enough")
        with pytest.raises(ExecutionCanceled, match=handle.id):
            handle.result(BOUND_S)
        assert bench.noted() == ["runs", "saw the flag"]
        (ended,) = [event for event in handle.history() if event["type"] == "attempt.ended"]
        assert (ended["returned"], ended["output"]) == (True, "as far as I got")

    def test_a_step_that_does_not(self, bench: Bench) -> None:
        steps = activity("deaf", "grace: 200ms", input="ledger: $.input")
        handle = bench.start("deaf", steps, str(bench.ledger))
        bench.await_noted("runs")
        handle.cancel()
        with pytest.raises(ExecutionCanceled):
            handle.result(SOON_S)
        assert "attempt.lost" not in kinds(handle)
        after = bench.start("after", activity("who"))
        assert after.result(BOUND_S) > 0  # a runner is there for the next one

    def test_while_nothing_runs(self, bench: Bench) -> None:
        handle = bench.start("sleeps", "  - {id: a, type: timer, duration: 1h}\n")
        assert [active["step"] for active in handle.status().active] == ["a"]
        handle.cancel()
        with pytest.raises(ExecutionCanceled):
            handle.result(SOON_S)
        assert kinds(handle)[-1] == "execution.canceled"


class TestCode:
    def test_changed_on_disk_a_version_keeps_its_own(self, bench: Bench) -> None:
        steps = activity("tell_version", "next: b") + activity("who", id="b")
        rest = "output: {said: $.steps.a.output, pid: $.steps.b.output}"
        first = bench.start("pinned", steps, rest=rest).result(BOUND_S)
        source = bench.folder / STEPS.name
        source.write_text(source.read_text().replace('"pinned"', '"changed"'))
        again = bench.client.start("pinned").result(BOUND_S)
        os.kill(again["pid"], signal.SIGKILL)  # nor does a new process look at the disk
        last = bench.client.start("pinned").result(BOUND_S)
        assert [first["said"], again["said"], last["said"]] == ["pinned"] * 3
        assert last["pid"] != again["pid"]
        with pytest.raises(Duplicate, match=r"(?s)other content.*code"):
            bench.client.register(bench.folder / "pinned.yaml")


def test_docs_name_every_test() -> None:
    rows = [line.split("|") for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    named = Counter(name for row in rows for name in re.findall(r"`(\w+\.test_\w+)`", row[-2]))
    written = Counter[str]()
    for file in (Path(__file__), Path(__file__).with_name("test_journal_faults.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef):
                names = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
                written.update(f"{node.name}.{name}" for name in names if name[:5] == "test_")
    assert set(named) == set(written)
