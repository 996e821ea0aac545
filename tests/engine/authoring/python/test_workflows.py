"""Functions are compiled, simulated and written as YAML."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import heliostat as hs
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.errors import DefinitionError, InputError

from . import functions as f
from .conftest import Load

ORDER = f.Order(id="o1", total=2000, lines=["a", "b", "c"])
RECEIPT = f.Receipt(id="r", amount=5)
WORKFLOWS = [each for each in vars(f).values() if isinstance(each, hs.Workflow)]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda each: each.id)
def test_a_workflow_compiles(workflow: Any) -> None:
    assert workflow.compiled.definition.steps


@pytest.mark.parametrize("workflow", [w for w in WORKFLOWS if w.id != "saga"], ids=lambda w: w.id)
def test_its_yaml_reads_back_as_the_same_definition(workflow: Any) -> None:
    assert parse_definition(workflow.to_yaml()) == workflow.definition


class TestSimulating:
    def test_an_order_that_is_approved_is_shipped(self) -> None:
        said = {"approve": {"complete": {"approved": True}}, "charge": RECEIPT, "ship": "s1"}
        assert f.saga.simulate(ORDER, outcomes=said).output == "s1"

    def test_one_that_is_refused_fails_as_the_workflow_says(self) -> None:
        result = f.saga.simulate(ORDER, outcomes={"approve": {"complete": {"approved": False}}})
        assert (result.failure.type, result.failure.message) == (
            "OrderRejected",
            "order o1 was not approved",
        )

    def test_an_except_takes_the_deadline_of_a_person(self) -> None:
        result = f.saga.simulate(ORDER)
        assert result.failure.message == "nobody approved in time"
        assert result.elapsed_ms == 48 * 3_600_000

    def test_a_loop_ends_by_return_and_by_exhaustion(self) -> None:
        visits = {"visits": ["running", "running", "done"]}
        result = f.poll.simulate("j", outcomes={"job_state": visits})
        assert (result.output, result.elapsed_ms) == ("done", 15_003)
        assert f.poll.simulate("j", outcomes={"job_state": "running"}).failure.type == "GaveUp"

    def test_an_error_of_a_step_is_caught_in_its_block_alone(self) -> None:
        def fetch(call: Any) -> str:
            if call.input["line"] == "b":
                raise f.BadLine("torn")
            return str(call.input["line"])

        said: list[Any] = []

        def note(call: Any) -> bool:
            said.append(call.input)
            return False

        result = f.all_lines.simulate(ORDER, outcomes={"fetch": fetch, "store": True, "note": note})
        assert result.output == [True, False, True]
        assert said == [{"line": "b", "why": "torn"}]

    def test_outcomes_of_items_may_be_errors_and_a_result_is_told_in_a_line(self) -> None:
        fetched = {"items": ["a", f.BadLine("torn"), "c"]}
        outcomes = {"fetch": fetched, "store": True, "note": False}
        result = f.all_lines.simulate(ORDER, outcomes=outcomes)
        assert result.output == [True, False, True]
        assert repr(result).startswith("<sim-0 of all-lines")
        assert "Completed, output=[True, False, True], " in repr(result)

    def test_a_wait_takes_the_event_that_where_accepts(self) -> None:
        def event(at: str, receipt: str) -> dict[str, Any]:
            return {"at": at, "event": "carrier.picked_up", "data": {"receipt": receipt}}

        said = {"charge": RECEIPT, "ship": "s"}
        timeline = [event("2h", "x"), event("3h", "r")]
        result = f.race.simulate(ORDER, outcomes=said, timeline=timeline)
        assert (result.output, result.elapsed_ms // 3_600_000) == ("s", 3)
        assert f.race.simulate(ORDER, outcomes=said).output == "late"

    def test_calls_side_by_side_give_both_results(self) -> None:
        said = {"fetch": "d", "store": True, "charge": RECEIPT, "ship": "s"}
        assert f.side_by_side.simulate(ORDER, outcomes=said).output == "s"

    def test_a_map_may_be_over_before_all_are(self, load: Load) -> None:
        space = load("""
            @hs.workflow
            def first(xs: list[str]) -> list[str | None]:
                return hs.map((fetch(x) for x in xs), completion="any")

            @hs.workflow
            def two(xs: list[str]) -> list[str | None]:
                return hs.map((fetch(x) for x in xs), at_least=2, concurrency=2)

            @hs.workflow
            def each(xs: list[str]) -> list[str]:
                found = hs.map((fetch(x) for x in xs), completion="all_done")
                return [x for x in found if x is not None]
        """)
        said = {"fetch": {"items": [{"raise": "Torn"}, {"output": "b", "after": "2s"}, "c"]}}
        for name, output in {
            "first": [None, None, "c"], "two": [None, "b", "c"], "each": ["b", "c"],
        }.items():  # fmt: skip
            outcomes = {"found": said["fetch"]} if name == "each" else said
            assert space[name].simulate(["a", "b", "c"], outcomes=outcomes).output == output

    def test_a_race_is_won_by_the_first(self) -> None:
        assert f.region.simulate("l", outcomes={"fetch": "d"}).output == "d"
        stop = [{"at": "2h", "signal": "withdraw"}]
        result = f.region.simulate("l", outcomes={"fetch": {"hang": True}}, timeline=stop)
        assert result.output == "withdrawn"

    def test_calling_a_workflow_is_an_execution_of_its_own(self) -> None:
        result = f.ship_all.simulate([ORDER, ORDER], outcomes={"ship": "s"})
        assert result.output == ["s", "s"]
        assert len(result.others) == 2

    def test_what_a_decorator_says_is_simulated_too(self) -> None:
        said = {"approve": {"complete": {"approved": True}}, "charge": OSError("down"), "ship": "s"}
        result = f.saga.simulate(ORDER, outcomes=said)
        assert (result.failure.type, result.failure.attempt) == ("OSError", 5)

    def test_outcomes_of_what_is_not_there_are_refused(self) -> None:
        with pytest.raises(InputError, match="shipp"):
            f.saga.simulate(ORDER, outcomes={"shipp": "s"})

    def test_cancelling_is_never_caught(self, load: Load) -> None:
        space = load("""
            @hs.workflow
            def main(x: str):
                try:
                    first = fetch(x)
                except Exception:
                    caught = fetch("caught")
                finally:
                    last = fetch("finally")
        """)
        result = space["main"].simulate("a", outcomes={"first": {"hang": True}}, cancel_at_ms=50)
        assert result.status == "Canceled"
        assert "caught" not in result.story
        assert "last" not in result.story


class TestDefinition:
    def test_ids_are_those_of_the_names_assigned_and_else_of_the_functions(
        self, load: Load
    ) -> None:
        space = load("""
            @hs.workflow
            def main(x: str):
                first = fetch(x)
                fetch.using(id="again", timeout="5s", retry=hs.Retry(max_attempts=3))(first)
                fetch(first)
                fetch(first)
        """)
        with pytest.warns(UserWarning, match=r"'fetch' is there already.*\.using\(id=…\)"):
            steps = space["main"].definition.steps
        assert [step.id for step in steps] == ["first", "again", "fetch", "fetch_2"]
        assert steps[1].timeout == "5s"
        assert steps[1].retry.max_attempts == 3

    def test_places_lead_to_the_line_of_each_step(self) -> None:
        places = f.poll.definition.metadata["python"]["places"]
        file, line, column = places["state"].split(":")
        text = Path(f.__file__).read_text().splitlines()[int(line) - 1]
        assert file == "functions.py"
        assert text[int(column) - 1 :] == "job_state(job)"

    def test_annotations_are_the_schemas(self) -> None:
        definition = f.ship_parcel.definition
        assert definition.input_schema is not None
        assert definition.input_schema["required"] == ["order"]
        assert definition.output_schema == {"type": "string"}
        with pytest.raises(InputError, match="does not fit"):
            hs.simulate(definition, {"order": {"id": 1}})

    def test_a_result_comes_back_as_the_annotated_type(self, load: Load) -> None:
        space = load("""
            @hs.workflow
            def main(x: str) -> Order:
                return Order(id=x, total=2)
        """)
        main = space["main"]
        assert main.result(main.simulate("a").output) == space["Order"](id="a", total=2)

    def test_a_changed_function_is_another_version(self, load: Load) -> None:
        one = load("@hs.workflow\ndef main(x: str): fetch(x)\n")["main"].definition
        same = load("@hs.workflow\ndef main(x: str): fetch(x)\n")["main"].definition
        other = load("@hs.workflow\ndef main(x: str): fetch(x + x)\n")["main"].definition
        assert one.version != other.version
        assert one.steps == same.steps

    def test_a_default_is_taken_where_the_input_lacks_it(self, load: Load) -> None:
        main = load("@hs.workflow\ndef main(n: int = 5): return n\n")["main"]
        assert hs.simulate(main.definition, {}).output == 5
        assert main.simulate(7).output == 7

    def test_a_compiled_function_is_not_called(self) -> None:
        with pytest.raises(TypeError, match="simulate"):
            f.poll("j")

    def test_a_function_without_source_is_refused(self) -> None:
        space: dict[str, Any] = {"hs": hs, "__name__": "nowhere"}
        exec("@hs.workflow\ndef main(): ...", space)  # noqa: S102
        with pytest.raises(DefinitionError, match="HS400"):
            _ = space["main"].definition

    def test_times_and_uuids_are_recorded(self, load: Load) -> None:
        space = load("""
            @hs.workflow
            def main():
                before = hs.now()
                key = hs.uuid()
                hs.sleep(timedelta(hours=2))
                return [before, hs.now(), key, key]
        """)
        before, after, key, again = space["main"].simulate().output
        hours = datetime.fromisoformat(after) - datetime.fromisoformat(before)
        assert hours.total_seconds() == 7200
        assert key == again
        assert len(key) == 36

    def test_instants_are_compared_as_instants(self, load: Load) -> None:
        """Their texts would not do: `…00.001Z` stands before `…00Z`."""
        workflow = load(
            """
            @hs.workflow
            def compares(n: int):
                begun = hs.now()
                fetch("a")
                return [begun < hs.now(), begun == begun, hs.now() <= begun]
            """
        )["compares"]
        assert workflow.simulate(1).output == [True, True, False]

    def test_what_is_published_signalled_run_and_requested(self, load: Load) -> None:
        space = load("""
            @hs.workflow
            def main(x: str):
                hs.publish("order.paid", {"id": x})
                hs.signal(x, "stop", 1)
                out = hs.script("print(1)", input=x)
                reply = hs.http("POST", f"https://a.b/{x}", body={"x": x}, headers={"X-Id": x})
                return [out, reply.status]
        """)
        outcomes = {"out": 1, "reply": {"output": {"status": 201, "headers": {}, "body": None}}}
        result = space["main"].simulate("o", outcomes=outcomes)
        assert result.output == [1, 201]
        assert [(name, data) for _, name, data in result.published] == [("order.paid", {"id": "o"})]


def test_a_name_that_stands_for_another_step_is_looked_up_again(load: Load) -> None:
    """As where a cell of a notebook is run again."""
    space = load("""
        @hs.workflow
        def main(x: str):
            return block_of(x)
    """)
    main, before = space["main"], space["main"].compiled
    assert main.compiled is before

    @hs.step
    def another(x: str) -> str:
        return x

    space["fetch"] = another  # which the block calls
    assert main.compiled.targets != before.targets
    assert main.simulate("a", outcomes={"another": "b"}).output == "b"


class TestEnums:
    """A member of an enum is its value."""

    STATES = """
        from enum import Enum, StrEnum

        class State(Enum):
            NEW = "new"
            DONE = "done"

        class Loud(StrEnum):
            YES = "yes"

        class Job(BaseModel):
            state: State
            loud: Loud = Loud.YES
    """

    def test_members_are_compared_passed_and_returned(self, load: Load) -> None:
        space = load(
            self.STATES
            + """
        @hs.step
        def move(to: State) -> State: ...

        @hs.workflow
        def main(job: Job) -> State:
            if job.state is State.DONE:
                return State.DONE
            for wanted in (State.NEW, State.DONE):
                reached = move(wanted)
                if reached == State.DONE and reached.value == "done" and wanted in (State.DONE,):
                    return reached
            hs.fail(State.NEW.name, f"{job.loud} {job.state.value}")
        """
        )
        main, job, state = space["main"], space["Job"], space["State"]
        assert main.simulate(job(state="done")).output == "done"
        assert main.simulate(job(state="new"), outcomes={"reached": "done"}).output == "done"
        failure = main.simulate(job(state="new"), outcomes={"reached": "new"}).failure
        assert failure is not None
        assert (failure.type, failure.message) == ("NEW", "yes new")
        assert main.result("done") is state.DONE

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("return f'{job.state}'", "not that of Python"),
            ("return 'x' if job.state == 'done' else 'y'", "never holds"),
            ("return job.state.name", "its value is known"),
        ],
    )
    def test_what_is_otherwise_in_python_is_refused(
        self, line: str, words: str, load: Load
    ) -> None:
        space = load(f"""{self.STATES}
        @hs.workflow
        def main(job: Job) -> str:
            {line}
        """)
        with pytest.raises(DefinitionError, match=words):
            _ = space["main"].definition


def test_second_arguments_may_be_named(load: Load) -> None:
    space = load("""
        @hs.workflow
        def main(xs: list[float]):
            return [list(enumerate(xs, start=1)), sum(xs, start=0.5), round(xs[0], ndigits=1)]
    """)
    assert space["main"].simulate([1.25, 2.0]).output == [[[1, 1.25], [2, 2.0]], 3.75, 1.2]


class TestTypes:
    """Models, dataclasses and TypedDicts are objects, under the names that their JSON has."""

    def test_a_member_is_read_by_its_alias(self, load: Load) -> None:
        space = load("""
            from pydantic import Field

            class Aliased(BaseModel):
                many: int = Field(alias="howMany")

            @hs.workflow
            def main(of: Aliased) -> Aliased:
                return Aliased(many=of.many + 1)
        """)
        main, aliased = space["main"], space["Aliased"]
        result = main.simulate(aliased(howMany=2))
        assert result.output == {"howMany": 3}
        assert main.result(result.output) == aliased(howMany=3)

    def test_a_dataclass_is_made_by_position_and_by_defaults(self, load: Load) -> None:
        space = load("""
            import dataclasses

            @dataclasses.dataclass
            class Point:
                x: int
                y: int = 7

            @hs.workflow
            def main(at: Point) -> list[Point]:
                return [Point(at.y), Point(x=1, y=at.x)]
        """)
        main = space["main"]
        output = main.simulate(space["Point"](3)).output
        assert output == [{"x": 7, "y": 7}, {"x": 1, "y": 3}]
        assert main.result(output)[0] == space["Point"](7)


class TestErrors:
    def test_an_error_that_passes_finally_is_still_one_of_its_bases(self, load: Load) -> None:
        space = load("""
            class Worse(Boom): ...

            @hs.workflow
            def main(x: str):
                try:
                    try:
                        first = fetch(x)
                    finally:
                        last = fetch("last")
                except Boom as error:
                    return f"caught {error}"
        """)
        result = space["main"].simulate("a", outcomes={"first": space["Worse"]("it"), "last": "b"})
        assert result.output == "caught it"

    def test_an_error_of_an_expression_is_pythons(self, load: Load) -> None:
        main = load("""
            @hs.workflow
            def main(d: dict[str, int], key: str):
                try:
                    return d[key] // d["zero"]
                except LookupError as error:
                    return f"no {error}"
        """)["main"]
        assert main.simulate({}, "a").output == "no 'a'"
        failure = main.simulate({"a": 1, "zero": 0}, "a").failure
        assert (failure.type, failure.message) == (
            "ZeroDivisionError",
            "integer division or modulo by zero",
        )
        assert main.definition.metadata["python"]["places"][failure.step].endswith(":31:9")


class TestProperties:
    def test_they_are_fields_of_the_definition_and_of_its_version(self) -> None:
        settled = {"id": "settled", "ltl": "G (completed(state) -> F ended)"}
        declared = hs.workflow(id="poll", properties=[settled])(f.poll.function)
        assert declared.definition.properties[0].ltl == settled["ltl"]
        assert parse_definition(declared.to_yaml()) == declared.definition
        assert declared.definition.version != f.poll.definition.version

    def test_a_formula_about_no_step_is_refused(self) -> None:
        declared = hs.workflow(properties=[{"id": "p", "ltl": "F completed(stat)"}])
        with pytest.raises(DefinitionError, match=r'no step "stat"[^$]*did you mean `state`'):
            _ = declared(f.poll.function).definition
