"""What proofs find, as diagnostics with a place, a run and a cure; as text, Markdown and data."""

from __future__ import annotations

import json
from typing import Final

import pytest

from heliostat.engine.authoring.canonical import canonical_body
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.loading import checked, parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.verify.properties.soundness import verify
from heliostat.verify.properties.verdict import Act, Report, Verdict
from heliostat.verify.prover import STEPS_MAX, Prover
from heliostat.verify.reports.diagnostics import ACTS_MAX, diagnostics, in_words
from heliostat.verify.reports.values import overall, verdict_value
from heliostat.verify.reports.words import markdown, text

HEAD: Final = 'id: case\nversion: "1"\n'

BYPASSED: Final = (
    HEAD
    + """\
steps:
  - {id: fork, type: decision, split: all, next: [{to: a}, {to: b}]}
  - {id: a, type: activity, activity: "m:f", next: j}
  - {id: b, type: activity, activity: "m:f", next: j, on_error: [{next: c}]}
  - {id: c, type: activity, activity: "m:f"}
  - {id: j, type: decision, join: all}
"""
)
CHOSEN: Final = (
    HEAD
    + """\
steps:
  - {id: fork, type: decision, split: all, next: [{to: a}, {to: b}]}
  - {id: a, type: decision, next: j}
  - {id: b, type: decision, next: [{when: $.input.fine, to: j}, {to: end}]}
  - {id: j, type: decision, join: all}
"""
)
STARVED: Final = (
    HEAD
    + """\
semaphores: {slot: 2}
steps:
  - id: each
    foreach: $.input.list
    uses: {slot: 1}
    steps: [{id: inner, type: activity, activity: "m:f", uses: {slot: 1}}]
"""
)
ROUND: Final = (
    HEAD
    + """\
steps:
  - {id: a, type: decision, next: [{when: $.input.fine, to: b}, {to: end}]}
  - {id: b, type: decision, next: c}
  - {id: c, type: decision, next: b}
"""
)
PILED: Final = (
    HEAD
    + """\
steps:
  - {id: a, type: activity, activity: "m:f", split: all, next: [{to: a}, {to: b}]}
  - {id: b, type: wait, signal: go, join: any}
"""
)
SOUND: Final = HEAD + "steps: [{id: a, type: decision}]\n"


def found(definition: Definition) -> tuple[Diagnostic, ...]:
    return diagnostics(definition, verify(compile_plan(definition)).verdicts)


class TestPlaces:
    @pytest.mark.parametrize(
        ("definition", "code", "step", "field", "told"),
        [
            (BYPASSED, "HS501", "j", "join", "its join waits for `b`"),
            (CHOSEN, "HS501", "b", "next", "(`$.input.fine`) lead past a join"),
            (ROUND, "HS502", "b", None, "nothing but `b`, `c` goes on, for ever"),
        ],
    )
    def test_a_fault_is_shown_where_it_is_mended(
        self, definition: str, code: str, step: str, field: str | None, told: str
    ) -> None:
        first = found(parse_definition(definition, "case.yaml"))[0]
        assert (first.code, first.step, first.field) == (code, step, field)
        assert first.severity == "error"
        assert told in first.message
        line = definition.splitlines()[first.line - 1]
        assert f"id: {step}" in line
        assert str(first).startswith(f"case.yaml:{first.line}:{first.column} error[{code}]")
        assert first.cure is not None

    def test_the_run_that_leads_there_is_told(self) -> None:
        (fault,) = found(parse_definition(BYPASSED))
        assert fault.message.endswith(
            "after `fork` completes, `a` completes, `b` fails, `c` completes"
        )

    def test_what_holds_says_nothing(self) -> None:
        assert found(parse_definition(SOUND)) == ()

    def test_a_definition_without_a_text_has_its_steps_alone(self) -> None:
        plain = Definition.model_validate_json(canonical_body(parse_definition(CHOSEN)))
        (fault,) = found(checked(plain))
        assert (fault.file, fault.line, fault.step) == ("case", 0, "b")

    def test_a_compiled_one_is_shown_in_its_source(self) -> None:
        plain = Definition.model_validate_json(canonical_body(parse_definition(CHOSEN)))
        places = {"python": {"places": {"b": "shop.py:12:5"}}}
        (fault,) = found(plain.model_copy(update={"metadata": places}))
        assert str(fault).startswith("shop.py:12:5 error[HS501]")


class TestCertainty:
    def test_what_may_be_a_run_of_no_execution_is_a_warning(self) -> None:
        definition = parse_definition(STARVED)
        report = verify(compile_plan(definition))
        assert not report.about("deadlock").exact
        first = found(definition)[0]
        assert first.severity == "warning"
        assert "it may be that no execution does this" in first.message

    def test_what_is_not_known_is_one_warning_with_the_bound(self) -> None:
        definition = parse_definition(ROUND)
        report = verify(compile_plan(definition), states_max=1)
        told = diagnostics(definition, report.verdicts)
        unknown = [each for each in told if each.code == "HS509"]
        assert len(unknown) == 1
        assert unknown[0].severity == "warning"
        assert "more than 1 markings" in unknown[0].message

    def test_what_piles_up_has_no_bound(self) -> None:
        told = found(parse_definition(PILED))
        assert [each.code for each in told] == ["HS509", "HS504"]

    def test_a_long_run_is_told_by_its_end(self) -> None:
        run = [Act(step=f"s{n}", act="completes") for n in range(ACTS_MAX + 3)]
        told = in_words(run)
        assert told.startswith("3 things more, `s3` completes")
        assert told.endswith(f"`s{ACTS_MAX + 2}` completes")


class TestForms:
    def report(self, definition: str) -> tuple[Report, tuple[Diagnostic, ...]]:
        read = parse_definition(definition, "case.yaml")
        report = verify(compile_plan(read))
        return report, diagnostics(read, report.verdicts)

    def test_text_has_a_line_for_each_property(self) -> None:
        report, told = self.report(BYPASSED)
        lines = text(report.definition, report.verdicts, told).splitlines()
        assert lines[0] == "case:1: not all that was asked holds"
        assert [line.split()[0] for line in lines[1:5]] == [
            "deadlock",
            "livelock",
            "dead",
            "boundedness",
        ]
        assert any("error[HS501]" in line for line in lines)

    def test_markdown_has_the_run_as_a_list(self) -> None:
        report, told = self.report(BYPASSED)
        page = markdown(report.definition, report.verdicts, told)
        assert "| deadlock | **fails** |" in page
        assert "3. `b` fails\n4. `c` completes" in page
        assert "**HS501** step `j` (line 8)" in page

    def test_data_is_json(self) -> None:
        report, _ = self.report(STARVED)
        value = json.loads(json.dumps([verdict_value(each) for each in report.verdicts]))
        first = value[0]
        assert (first["property"], first["outcome"], first["exact"]) == ("deadlock", "fails", False)
        assert first["rests_on"][0]["kind"] == "foreach"
        assert first["deadlocks"][0]["fix"]["type"] in ("IncreaseResources", "BreakDependencyCycle")

    def test_one_that_fails_decides(self) -> None:
        report, _ = self.report(BYPASSED)
        assert overall(report.verdicts) == "fails"
        assert overall(report.verdicts[1:]) == "holds"
        stopped = verify(compile_plan(parse_definition(PILED)), states_max=3)
        unfailed = [each for each in stopped.verdicts if each.outcome != "fails"]
        assert overall(unfailed) == "inconclusive"


class TestProver:
    def test_each_content_is_proved_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from heliostat.verify import prover

        proved = list[str]()

        def compiled(definition: Definition) -> object:
            proved.append(definition.id)
            return compile_plan(definition)

        monkeypatch.setattr(prover, "compile_plan", compiled)
        asked = Prover(time_max_ms=60_000)
        first = asked(parse_definition(BYPASSED, "one.yaml"))
        moved = asked(parse_definition("# another line\n" + BYPASSED, "two.yaml"))
        assert proved == ["case"]
        assert moved[0].line == first[0].line + 1, "the place is that of the text that is asked"
        assert moved[0].file == "two.yaml"
        asked(parse_definition(SOUND))
        assert proved == ["case", "case"]

    def test_what_is_too_large_is_not_known(self) -> None:
        steps = [f"  - {{id: s{n}, type: decision, next: s{n + 1}}}" for n in range(STEPS_MAX)]
        lines = "\n".join([*steps, f"  - {{id: s{STEPS_MAX}, type: decision}}"])
        (told,) = Prover(time_max_ms=60_000)(parse_definition(f"{HEAD}steps:\n{lines}\n"))
        assert (told.code, told.severity) == ("HS509", "warning")
        assert f"more than {STEPS_MAX} steps" in told.message

    def test_an_unknown_bound_alone_is_not_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from heliostat.verify.properties import soundness

        def bounded(*_: object, **__: object) -> Verdict:
            return Verdict(asked="boundedness", outcome="inconclusive", engine="none", reason="x")

        monkeypatch.setattr(soundness, "bounded", bounded)
        assert Prover(time_max_ms=60_000)(parse_definition(SOUND)) == ()

    def test_a_fault_of_its_own_keeps_nobody_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from heliostat.verify import prover

        def broken(definition: Definition) -> object:
            raise KeyError(definition.id)

        monkeypatch.setattr(prover, "compile_plan", broken)
        (told,) = Prover(time_max_ms=60_000)(parse_definition(SOUND))
        assert (told.code, told.severity) == ("HS509", "warning")
        assert "KeyError" in told.message
