"""The examples do what their folder's line in `examples/README.md` says, in the simulator."""

from __future__ import annotations

import importlib.util
import inspect
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from heliostat.api.cli.app import app
from heliostat.engine.authoring.activities import check_activities
from heliostat.engine.authoring.loading import load_definition
from heliostat.engine.simulator import SimulationResult, simulate
from tests.docs.words import alphabet, projected, word_of

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*/*.yaml"))


def functions_of(folder: Path) -> dict[str, Callable[..., Any]]:
    """The functions of a folder's modules, by the names that definitions call them by."""
    found: dict[str, Callable[..., Any]] = {}
    for file in folder.glob("*.py"):
        spec = importlib.util.spec_from_file_location(f"examples_{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            found[f"{file.stem}:{name}"] = function
    return found


def run(name: str, input: Any = None, outcomes: Any = None, **how: Any) -> SimulationResult:
    """Simulate an example with its own functions."""
    folder = EXAMPLES / name
    others = [file for file in sorted(folder.glob("*.yaml")) if file.stem != name]
    return simulate(
        folder / f"{name}.yaml",
        input,
        outcomes,
        definitions=others,
        functions=functions_of(folder),
        **how,
    )


def trace(result: SimulationResult, letters: str) -> str:
    """What the execution did, of these letters."""
    return " ".join(projected(word_of(result), alphabet([letters])))


class TestOrder:
    """A saga with a person."""

    SMALL = {"order": {"id": "7", "total": 900}}
    LARGE = {"order": {"id": "8", "total": 2000}}
    TOO_LARGE = {"order": {"id": "9", "total": 9000}}
    FRAGILE = {"order": {"id": "10", "total": 20, "fragile": True}}
    ALL = "reserve approve approve! charge charge! ship ship! refund release"

    def test_a_small_order_needs_nobody(self) -> None:
        result = run("order", self.SMALL)
        assert result.output == {"shipment": "parcel-7 paid with receipt-7"}
        assert trace(result, self.ALL) == "reserve charge ship"

    def test_a_large_one_waits_for_a_person(self) -> None:
        approve = {"approve": {"complete": {"approved": True}, "user": "ann", "after": "3h"}}
        result = run("order", self.LARGE, approve)
        assert result.status == "Completed"
        assert trace(result, self.ALL) == "reserve approve charge ship"
        assert result.elapsed_ms > 3 * 3_600_000

    def test_nobody_says_yes_and_it_is_given_back(self) -> None:
        result = run("order", self.LARGE)
        assert result.failure is not None
        assert result.failure.type == "OrderRejected"
        assert result.failure.message == "order 8: not approved"
        assert trace(result, self.ALL) == "reserve approve! release"
        assert [task.level for task in result.tasks] == [1]

    def test_the_bank_is_not_asked_again_when_it_declines(self) -> None:
        approve = {"approve": {"complete": {"approved": True}, "user": "ann"}}
        result = run("order", self.TOO_LARGE, approve)
        assert result.failure is not None
        assert result.failure.message == "order 9: 9000 is more than the card allows"
        assert trace(result, self.ALL) == "reserve approve charge! release"

    def test_what_was_paid_goes_back_when_nothing_is_shipped(self) -> None:
        result = run("order", self.FRAGILE)
        assert result.failure is not None
        assert result.failure.message == "order 10: no courier takes it"
        assert trace(result, self.ALL) == "reserve charge ship! refund release"


class TestJob:
    """A polling race."""

    def test_asks_ever_more_seldom(self) -> None:
        result = run("job", {"job": "nightly"})
        assert result.output["result"] == {"job": "nightly", "state": "done"}
        assert result.output["polls"] == 3
        assert result.elapsed_ms // 1000 == 10 + 20

    def test_an_event_of_this_job_has_it_ask_at_once(self) -> None:
        others = {"at": "1s", "event": "job.changed", "data": {"job": "other"}}
        own = {"at": "2s", "event": "job.changed", "data": {"job": "nightly"}}
        result = run("job", {"job": "nightly"}, timeline=[others, own])
        assert result.output["polls"] == 3
        assert result.elapsed_ms // 1000 == 2 + 20

    def test_a_signal_gives_up(self) -> None:
        result = run("job", {"job": "nightly"}, timeline=[{"at": "1s", "signal": "stop"}])
        assert result.failure is not None
        assert result.failure.message == "job nightly after 1 polls"

    def test_it_gives_up_by_itself(self) -> None:
        result = run("job", {"job": "endless"}, {"poll": {"output": {"state": "running"}}})
        assert result.failure is not None
        assert result.failure.message == "job endless after 20 polls"


class TestParcel:
    """A cancel region."""

    def test_a_packed_parcel_cannot_be_withdrawn(self) -> None:
        result = run("parcel", "books", timeline=[{"at": "1h", "signal": "withdraw"}])
        assert trace(result, "pick pack undo withdrawn-") == "pick pack withdrawn-"
        assert [refusal.code for refusal in result.refusals] == ["CONFLICT"]

    def test_what_is_picked_is_put_back(self) -> None:
        slow = {"pack": {"hang": True}}
        result = run("parcel", "books", slow, timeline=[{"at": "1m", "signal": "withdraw"}])
        assert trace(result, "pick pack pack- withdrawn undo") == "pick pack- withdrawn undo"
        assert result.output == {"undo": "box of books, put back"}

    def test_there_may_be_nothing_to_put_back(self) -> None:
        slow = {"pick": {"hang": True}}
        result = run("parcel", "books", slow, timeline=[{"at": "1m", "signal": "withdraw"}])
        assert result.output == {"undo": "nothing to put back"}


class TestDocuments:
    """A body per item."""

    def test_a_bad_document_harms_only_itself(self) -> None:
        result = run("documents", {"documents": ["a", "busy", "lost"]})
        assert result.output == {"stored": ["text of a, enriched", "text of busy"], "failed": [2]}

    def test_too_many_of_them_fail_the_import(self) -> None:
        result = run("documents", {"documents": ["lost 1", "lost 2", "a"]})
        assert result.failure is not None
        assert result.failure.message == "2 documents failed"

    def test_no_document_is_no_failure(self) -> None:
        assert run("documents", {"documents": []}).output == {"stored": [], "failed": []}


class TestCouriers:
    """Children, of which so many are enough."""

    def test_the_first_three_deliver_and_the_others_are_called_back(self) -> None:
        minutes = {"ann": 30, "bob": 10, "eve": 600, "joe": 20, "sue": 500, "tom": 1}
        couriers = [{"name": name, "minutes": each} for name, each in minutes.items()]
        result = run("couriers", {"order": "tea", "couriers": couriers})
        # Tom is the sixth of five at a time: he starts when Bob is back.
        assert result.output == {"delivered": ["tea by bob", "tea by joe", "tea by tom"]}
        assert result.elapsed_ms // 60_000 == 20
        ends = sorted(other.status for other in result.others.values())
        assert ends == ["Canceled"] * 3 + ["Completed"] * 3


class TestSurvey:
    """A DAG with a fan-out, a join, a skip and a semaphore."""

    def test_reports_what_its_needs_came_to(self) -> None:
        result = run("survey")
        assert result.output == {
            "held": 0,
            "labels": ["harbour: windy", "unlabelled", "airport: windy"],
            "summary": "780 rows",
        }
        assert trace(result, "month stations joined quarantine? report").endswith("report")

    def test_the_model_has_two_callers_at_a_time(self) -> None:
        busy = {"label": {"output": "x", "after": "1h"}, "summary": {"output": "y", "after": "1h"}}
        assert run("survey", None, busy).elapsed_ms // 3_600_000 == 2  # four calls, two by two


class TestAll:
    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
    def test_has_no_fault(self, file: Path) -> None:
        load_definition(file)

    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
    def test_fits_the_functions_beside_it(self, file: Path) -> None:
        check_activities(load_definition(file), [file.parent])

    def test_each_folder_has_a_line(self) -> None:
        text = (EXAMPLES / "README.md").read_text()
        for folder in {file.parent.name for file in FILES}:
            assert f"| `{folder}/` |" in text

    def test_the_story_is_told_as_the_page_shows_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(EXAMPLES.parent)
        text = (EXAMPLES / "README.md").read_text()
        shown = re.findall(r"```console\n\$ heliostat (.*?)\n(.*?)```", text, re.DOTALL)
        assert shown
        for command, output in shown:
            assert CliRunner().invoke(app, shlex.split(command)).stdout == output
