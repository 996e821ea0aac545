"""`heliostat verify`: verdicts, diagnostics, exit codes and forms. No deployment is needed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import pytest

from heliostat.api.cli.app import main

STUCK: Final = """\
id: stuck
version: "1"
steps:
  - {id: fork, type: decision, split: all, next: [{to: a}, {to: b}]}
  - {id: a, type: decision, next: j}
  - {id: b, type: decision, next: [{when: $.input.fine, to: j}, {to: end}]}
  - {id: j, type: decision, join: all}
"""
SOUND: Final = 'id: sound\nversion: "1"\nsteps: [{id: a, type: decision}]\n'
MANY: Final = """\
id: many
version: "1"
semaphores: {one: 1, two: 1}
steps:
  - id: p
    type: parallel
    branches:
      - name: a
        steps:
          - id: a1
            uses: {one: 1}
            steps: [{id: a2, type: activity, activity: "m:f", uses: {two: 1}}]
      - name: b
        steps:
          - id: b1
            uses: {two: 1}
            steps: [{id: b2, type: activity, activity: "m:f", uses: {one: 1}}]
"""
QUEUE: Final = """\
id: queue
version: "1"
semaphores: {a: 1, b: 1}
steps:
  - {id: fork, type: decision, split: all, next: [{to: around}, {to: both}]}
  - id: around
    uses: {b: 1}
    steps:
      - {id: first, type: activity, activity: "m:f", next: inner}
      - {id: inner, type: activity, activity: "m:f", uses: {a: 1}}
  - {id: both, type: activity, activity: "m:f", uses: {a: 1, b: 1}}
"""
NET: Final = """\
<pnml><net id="n" type="http://www.pnml.org/version-2009/grammar/ptnet"><page id="g">
<place id="p"><initialMarking><text>1</text></initialMarking></place><place id="q"/><place id="r"/>
<transition id="t"/><transition id="u"/>
<arc id="a1" source="p" target="t"/><arc id="a2" source="t" target="q"/>
<arc id="a3" source="q" target="u"/><arc id="a4" source="r" target="u"/>
</page></net></pnml>
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HELIOSTAT_")]:
        monkeypatch.delenv(name)
    for name, text in (("stuck.yaml", STUCK), ("sound.yaml", SOUND), ("net.pnml", NET)):
        (tmp_path / name).write_text(text)
    return tmp_path


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exited:
        main(list(arguments))
    out, err = capsys.readouterr()
    assert isinstance(exited.value.code, int)
    return exited.value.code, out, err


def test_what_holds_is_exit_code_0(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "verify", "sound.yaml")
    assert (code, err) == (0, "")
    assert out.startswith("sound:1: all that was asked holds\n")


def test_what_fails_is_exit_code_1_with_place_run_and_cure(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = ran(capsys, "verify", "stuck.yaml")
    assert code == 1
    assert 'stuck.yaml:6:35 error[HS501] step "b", field "next"' in out
    assert "after `fork` completes" in out
    assert "let the conditions of both agree" in out


def test_only_what_is_asked_for_counts(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "verify", "stuck.yaml", "-p", "livelock", "-p", "dead-steps")
    assert code == 0
    assert "deadlock" not in out
    code, _, err = ran(capsys, "verify", "stuck.yaml", "-p", "proper-completion")
    assert (code, "proper-completion is not asked of stuck.yaml" in err) == (2, True)
    code, _, err = ran(capsys, "verify", "stuck.yaml", "--property", "peace")
    assert (code, "none of deadlock, livelock, dead-steps" in err) == (2, True)


def test_formulas(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "verify", "stuck.yaml", "-p", "AG (completed(b) -> AF ended)")
    assert code == 1
    assert "error[HS507]" in out
    assert "`AG (completed(b) -> AF ended)` does not hold, after `fork` completes" in out
    code, out, _ = ran(capsys, "verify", "sound.yaml", "-p", "termination")
    assert (code, "AF ended" in out) == (0, True)
    for formula in ("AF (ended", "AG open(nothing)", "EF gone"):
        code, _, err = ran(capsys, "verify", "sound.yaml", "-p", formula)
        assert (code, err.startswith("error: --property ")) == (2, True), formula
    code, _, err = ran(capsys, "verify", "net.pnml", "-p", "AF ended")
    assert (code, "formulas speak of those alone" in err) == (2, True)


DECLARED: Final = """\
id: declared
version: "1"
properties:
  - {id: settled, ltl: G (completed(pay) -> F (completed(ship) | failed))}
  - {id: shipped, ctl: AF completed(ship)}
steps:
  - {id: pay, type: activity, activity: "m:f", next: ship}
  - {id: ship, type: activity, activity: "m:f"}
"""


def test_declared_properties(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "declared.yaml").write_text(DECLARED)
    code, out, _ = ran(capsys, "verify", "declared.yaml", "-p", "settled")
    assert (code, "shipped" in out) == (0, False)
    assert "G (completed(pay) -> F (completed(ship) | failed))" in out
    code, out, _ = ran(capsys, "verify", "declared.yaml", "-p", "properties")
    assert code == 1
    assert "declared.yaml:5:24 error[HS551]" in out
    assert "`shipped` does not hold: `AF completed(ship)`, after `pay` fails" in out
    (here / "timed.yaml").write_text(DECLARED.replace("ctl: AF completed(ship)", "within: 1s"))
    code, out, _ = ran(capsys, "verify", "timed.yaml", "-p", "properties")
    assert code != 0
    assert ("settled" in out, "shipped" in out, "deadlock" in out) == (True, True, False)
    code, out, _ = ran(capsys, "verify", "declared.yaml")
    assert (code, "settled" in out, "deadlock" in out) == (1, True, True)
    code, _, err = ran(capsys, "verify", "declared.yaml", "-p", "shiped")
    assert (code, "settled, shipped" in err) == (2, True)
    code, out, _ = ran(capsys, "verify", "declared.yaml", "-p", "G F (done | failed)")
    assert code == 0
    code, _, _ = ran(capsys, "verify", "declared.yaml", "-p", "all-steps-reachable")
    assert code == 0


def test_what_is_not_known_is_exit_code_3(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 10**9, 10))
    monkeypatch.setattr("heliostat.api.cli.proving.time.monotonic", lambda: next(ticks))
    (here / "many.yaml").write_text(MANY)
    code, out, _ = ran(capsys, "verify", "many.yaml", "--time-budget", "1ms", "-p", "livelock")
    assert code == 3
    assert "warning[HS509]" in out
    assert "more than 1 ms" in out


def test_json_has_verdicts_and_diagnostics(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "verify", "stuck.yaml", "--format", "json")
    assert (code, err) == (1, "")
    (told,) = json.loads(out)
    assert (told["definition"], told["outcome"]) == ("stuck:1", "fails")
    first = told["verdicts"][0]
    assert (first["property"], first["outcome"]) == ("deadlock", "fails")
    assert {"step": "fork", "act": "completes"} in first["run"]
    assert told["diagnostics"][0]["code"] == "HS501"


def test_markdown_and_dot(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "verify", "stuck.yaml", "--format", "markdown")
    assert (code, out.startswith("# Verification of stuck:1\n")) == (1, True)
    code, out, _ = ran(capsys, "verify", "stuck.yaml", "--format", "dot")
    assert (code, out.startswith("digraph PetriNet {")) == (1, True)
    assert "(1)" in out, "it stands where the execution is stuck"


def test_the_simulator_gets_stuck_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "verify", "stuck.yaml", "--replay")
    assert code == 1
    assert "replayed: the simulator gets stuck as told" in out
    assert "Failed: Stuck: join 'j' waits for b" in out
    code, out, _ = ran(capsys, "verify", "sound.yaml", "--replay", "--format", "json")
    assert (code, json.loads(out)[0]["replay"]) == (0, None)
    code, _, err = ran(capsys, "verify", "net.pnml", "--replay")
    assert (code, "only those run in the simulator" in err) == (2, True)


def test_the_simulator_waits_in_a_queue_for_ever(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "queue.yaml").write_text(QUEUE)
    code, out, _ = ran(capsys, "verify", "queue.yaml", "-p", "deadlock", "--replay")
    assert (code, "replayed: the simulator gets stuck as told" in out) == (1, True)


def test_a_cluster_and_executions_side_by_side(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = SOUND.replace(
        "{id: a, type: decision}",
        '{id: a, type: activity, activity: "m:f", resources: {num_cpus: 4}}',
    )
    (here / "big.yaml").write_text(text)
    asked = ("verify", "big.yaml", "-p", "resources", "--executions", "3")
    code, out, _ = ran(capsys, *asked, "--cluster", "2x4cpu")
    assert (code, "wanted at once by 3 executions: CPU 12 of 8" in out) == (0, True)
    code, out, _ = ran(capsys, *asked, "--cluster", "2x2cpu")
    assert (code, "error[HS530]" in out) == (1, True)
    code, _, err = ran(capsys, *asked, "--cluster", "large")
    assert (code, "no file, and no shape as" in err) == (2, True)
    code, out, _ = ran(capsys, "verify", "sound.yaml", "-p", "resources")
    assert (code, out) == (0, "sound:1: all that was asked holds\n")


def test_a_model_of_others(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ran(capsys, "verify", "net.pnml", "-p", "deadlock")
    assert code == 1
    assert "net.pnml error[HS501]" in out
    (here / "bad.pnml").write_text("<pnml>")
    code, _, err = ran(capsys, "verify", "bad.pnml")
    assert (code, "bad.pnml is no model that can be read" in err) == (2, True)


def test_what_cannot_be_read_is_exit_code_2(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.yaml").write_text(STUCK.replace("type: decision, join", "type: decisions, join"))
    for file in ("bad.yaml", "none.yaml", "none.pnml", "none.py"):
        code, out, err = ran(capsys, "verify", file)
        assert (code, out) == (2, ""), file
        assert err.startswith("error: "), file
    code, _, err = ran(capsys, "verify", "sound.yaml", "--time-budget", "long")
    assert (code, "--time-budget 'long'" in err) == (2, True)


def test_validating_tells_it_too(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, "workflow", "validate-definition", "-f", "stuck.yaml")
    assert (code, out) == (0, "stuck.yaml is valid\n")
    assert "stuck.yaml:6:35 warning[HS501]" in err
    asked = ("workflow", "validate-definition", "-f", "stuck.yaml", "--verification")
    code, out, err = ran(capsys, *asked, "error")
    assert (code, out) == (2, "")
    assert "stuck.yaml:6:35 error[HS501]" in err
    code, _, err = ran(capsys, *asked, "off")
    assert (code, err) == (0, "")
    (here / "heliostat.toml").write_text('verification = "error"\n')
    code, _, _ = ran(capsys, "workflow", "validate-definition", "-f", "stuck.yaml")
    assert code == 2


class TestSeveral:
    """What one definition waits for and another sends: tests/verify/test_across.py says what."""

    @pytest.fixture
    def pair(self, here: Path) -> Path:
        there = here / "there"
        there.mkdir()
        for one, other in (("a", "b"), ("b", "a")):
            (there / f"{one}.yaml").write_text(
                f'id: {one}\nversion: "1"\nsteps:\n'
                f"  - {{id: hear, type: wait, event: by.{other}, next: tell}}\n"
                f"  - {{id: tell, type: decision, publish: [{{event: by.{one}}}]}}\n"
            )
        return there

    def test_of_a_folder_all_definitions(
        self, pair: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, _ = ran(capsys, "verify", str(pair), "--property", "across")
        assert code == 1
        assert "a.yaml:4:5 warning[HS541]" in out
        assert "b.yaml:4:5 warning[HS541]" in out

    def test_files_are_named_one_by_one(
        self, pair: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, _ = ran(capsys, "verify", "sound.yaml", str(pair / "a.yaml"), "net.pnml")
        assert code == 1  # the net gets stuck
        assert "HS541" not in out
        assert out.index("sound:1") < out.index("a:1") < out.index("n:")

    def test_a_folder_without_a_definition(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (here / "empty").mkdir()
        code, _, _ = ran(capsys, "verify", "empty")
        assert code == 2
