"""Script steps: what goes in and comes out, every way to fail, and that nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.dispatch.protocol import Raised, Returned
from heliostat.actors.runner import scripts
from heliostat.actors.runner.current import Current
from heliostat.actors.runner.scripts import OUTPUT_BYTES_MAX
from heliostat.engine.builtin import TARGETS
from heliostat.engine.values import Sealed
from tests.runner.bench import Bench, open_bench

SECRET = 'hunter2 & "co"'


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    with open_bench(tmp_path, {"TOKEN": SECRET}) as bench:
        yield bench
    assert not list((tmp_path / "tmp").iterdir()), "a working directory was not removed"


def shell(bench: Bench, source: str, input: Any = None, **more: Any) -> Any:
    return script(bench, "shell", source, input, **more)


def python(bench: Bench, source: str, input: Any = None, **more: Any) -> Any:
    return script(bench, "python", source, input, **more)


def script(
    bench: Bench, language: str, source: str, input: Any, *, env: Any = None, **more: Any
) -> Any:
    arguments = {"language": language, "source": textwrap.dedent(source), "input": input}
    if env is not None:
        arguments["env"] = env
    return bench.call(TARGETS["script"], arguments, **more)


def await_(condition: Callable[[], Any], *, within_s: float = 60) -> None:
    """Another process gets there; there is no event to wait for."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class TestInAndOut:
    def test_input_is_json_on_stdin_and_output_the_last_line(self, bench: Bench) -> None:
        report = python(
            bench,
            """
            import json, sys
            given = json.load(sys.stdin)
            print("working")
            print(json.dumps({"sum": sum(given["numbers"]), "text": given["text"]}))
            """,
            {"numbers": [1, 2, 3], "text": "ä\n"},
        )
        assert isinstance(report, Returned), report
        assert report.output == {"sum": 6, "text": "ä\n"}
        assert report.stdout == "working\n"
        assert report.stderr is None

    def test_no_line_is_null_and_blank_ones_do_not_count(self, bench: Bench) -> None:
        assert shell(bench, "true").output is None
        assert shell(bench, "cat > /dev/null; echo; echo 7; echo; echo '  '").output == 7
        assert shell(bench, "printf '[1]'").output == [1]

    def test_a_script_need_not_read_its_input(self, bench: Bench) -> None:
        assert shell(bench, "echo 1", "x" * 1_000_000).output == 1

    def test_much_goes_in_and_comes_out_at_once(self, bench: Bench) -> None:
        """More than any pipe holds, each way: neither side waits for the other for ever."""
        given = "x" * 3_000_000
        report = shell(bench, "cat", given)
        assert report.output_bytes > 3_000_000
        assert report.stdout is None

    def test_stderr_and_stdout_are_kept_with_their_tails(self, bench: Bench) -> None:
        report = shell(
            bench,
            """
            i=0
            while [ $i -lt 4000 ]; do echo "line $i"; echo "oops $i" >&2; i=$((i + 1)); done
            echo '"done"'
            """,
        )
        assert report.output == "done"
        for text, last in ((report.stdout, "line 3999\n"), (report.stderr, "oops 3999\n")):
            assert text.startswith("[… the beginning is left out]")
            assert text.endswith(last)
            assert len(text) < 17_000

    def test_the_environment_is_small_and_holds_what_env_says(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HELIOSTAT_SECRET_TOKEN", SECRET)
        monkeypatch.setenv("SOMETHING_ELSE", "1")
        report = python(
            bench,
            "import json, os; print(json.dumps(dict(os.environ)))",
            env={"TEXT": "a b", "NUMBER": 3, "LIST": [1, None], "HELIOSTAT_ATTEMPT": "no"},
        )
        found = report.output
        assert found["TEXT"] == "a b"
        assert (found["NUMBER"], found["LIST"]) == ("3", "[1,null]")
        assert found["HELIOSTAT_IDEMPOTENCY_KEY"] == "ns/ex:1:s:3"
        assert found["HELIOSTAT_ATTEMPT"] == "4"
        allowed = {*scripts.BASE_VARIABLES, "TMPDIR", "PYTHONPATH", "TEXT", "NUMBER", "LIST"}
        allowed |= {"HELIOSTAT_IDEMPOTENCY_KEY", "HELIOSTAT_ATTEMPT", "LC_CTYPE"}
        assert found.keys() <= allowed
        assert SECRET not in str(found)

    def test_it_starts_in_an_empty_folder_of_its_own(self, bench: Bench) -> None:
        report = shell(bench, 'touch here "$TMPDIR/there"; ls; printf \'"%s"\' "$PWD"')
        assert report.stdout == "here\nthere\n"
        assert not Path(report.output).exists()

    def test_modules_beside_the_definition_can_be_imported(self, bench: Bench) -> None:
        code = bench.bundle("def answer(): return 42", name="shipped")
        bench.write("from_code", "def other(): return 7")
        source = "import shipped, from_code; print(shipped.answer() + from_code.other())"
        assert python(bench, source, code=code).output == 49

    def test_a_shipped_module_does_not_stand_in_for_what_we_import(self, bench: Bench) -> None:
        code = bench.bundle("raise SystemExit('not me')", name="selectors")
        assert shell(bench, "echo 1", code=code).output == 1

    def test_shell_stops_at_the_first_error_and_at_unset_variables(self, bench: Bench) -> None:
        assert shell(bench, "false; echo 1").failure.type == "ScriptFailed"
        assert "NOT_SET" in shell(bench, 'echo "$NOT_SET"').failure.message


class TestFaults:
    def test_an_exit_code_is_told_with_the_end_of_stderr(self, bench: Bench) -> None:
        report = shell(bench, "echo 1; echo 'no such order' >&2; exit 3")
        assert isinstance(report, Raised)
        failure = report.failure
        assert failure.type == "ScriptFailed"
        assert failure.mro[:3] == ("ScriptFailed", "ScriptError", "BuiltinError")
        assert failure.message == ("the script ended with exit code 3; stderr ends: no such order")
        assert (failure.stdout, failure.stderr) == ("1\n", "no such order\n")
        assert failure.traceback is None

    def test_a_python_error_is_told_with_its_line(self, bench: Bench) -> None:
        failure = python(bench, "x = 1\nraise KeyError('gone')").failure
        assert "line 2" in failure.message
        assert "KeyError: 'gone'" in failure.message

    def test_a_long_stderr_is_told_by_its_end(self, bench: Bench) -> None:
        source = "import sys; sys.stderr.write('x' * 5_000_000 + 'END'); sys.exit(1)"
        failure = python(bench, source).failure
        assert failure.message.endswith("xEND")
        assert len(failure.message) < 3_000

    def test_a_signal_is_told_by_name(self, bench: Bench) -> None:
        failure = shell(bench, "kill -SEGV $$").failure
        assert failure.type == "ScriptFailed"
        assert "was ended by SIGSEGV" in failure.message

    def test_killing_its_whole_group_is_its_own_failure(self, bench: Bench) -> None:
        failure = shell(bench, "kill -KILL 0; sleep 60").failure
        assert "SIGKILL" in failure.message

    @pytest.mark.parametrize("line", ["hello", "{'a': 1}", "NaN", "[1, 2", "\\377"])
    def test_a_last_line_that_is_no_json_is_told(self, bench: Bench, line: str) -> None:
        report = shell(bench, f"echo 1; printf '%b\\n' \"{line}\"")
        failure = report.failure
        assert failure.type == "ScriptOutputInvalid"
        assert "one line of JSON" in failure.message
        if line != "\\377":
            assert line in failure.message
            assert failure.stdout == f"1\n{line}\n"

    def test_a_last_line_that_is_too_long_is_told_and_not_kept(self, bench: Bench) -> None:
        source = f"print('\"' + 'x' * {OUTPUT_BYTES_MAX} + '\"')"
        failure = python(bench, source).failure
        assert failure.type == "ScriptOutputInvalid"
        assert "16,777,216" in failure.message
        assert len(failure.stdout) < 17_000
        assert python(bench, f"{source}; print(1)").output == 1

    def test_json_that_nests_too_deep_is_told(self, bench: Bench) -> None:
        failure = python(bench, "print('[' * 100_000 + ']' * 100_000)").failure
        assert failure.type == "ScriptOutputInvalid"

    @pytest.mark.parametrize(
        ("env", "told"),
        [({"A=B": "1"}, "'A=B'"), ({"A": "x\0y"}, "'A'"), ({"": "1"}, "''")],
    )
    def test_an_environment_that_cannot_be_is_told(self, bench: Bench, env: Any, told: str) -> None:
        failure = shell(bench, "true", env=env).failure
        assert failure.type == "ScriptNotStarted"
        assert told in failure.message

    def test_more_than_a_process_may_be_given_is_told(self, bench: Bench) -> None:
        failure = shell(bench, "true", env={"A": "x" * 10_000_000}).failure
        assert failure.type == "ScriptNotStarted"
        assert "too long" in failure.message

    def test_a_missing_interpreter_is_told(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scripts, "SHELL", ("/nowhere/sh",))
        failure = shell(bench, "true").failure
        assert failure.type == "ScriptNotStarted"
        assert "/nowhere/sh: No such file" in failure.message

    def test_an_input_that_is_no_json_is_told(self, bench: Bench) -> None:
        bench.write("tables", "import pyarrow\ndef f(): return pyarrow.table({'a': [1]})")
        table = bench.call("tables:f").output
        failure = shell(bench, "true", table).failure
        assert failure.type == "ScriptNotStarted"
        assert "Table" in failure.message
        assert "activity" in failure.message


class TestSecrets:
    def test_one_reaches_the_script_and_no_record(self, bench: Bench) -> None:
        report = python(
            bench,
            """
            import json, os, sys, urllib.parse
            t = os.environ["AUTH"]
            print(t)
            print(repr(t), urllib.parse.quote(t), file=sys.stderr)
            print(json.dumps({"length": len(t), "echo": t, t: 1}))
            """,
            env={"AUTH": Sealed(("Bearer ", ""), ("token",))},
        )
        assert report.output["length"] == len("Bearer " + SECRET)
        assert report.output["echo"] == "Bearer [secret]"
        assert report.stdout == "Bearer [secret]\n"
        assert "hunter2" not in str(report)
        assert b"hunter2" not in bench.recorded

    def test_none_is_told_by_an_error(self, bench: Bench) -> None:
        report = shell(
            bench,
            'echo "bad token $T" >&2; echo "$T"; exit 1',
            env={"T": Sealed(("", ""), ("token",))},
        )
        assert "bad token [secret]" in report.failure.message
        assert b"hunter2" not in bench.recorded

    def test_none_is_told_where_a_stream_is_cut_within_it(self, bench: Bench) -> None:
        """A cut leaves the end of what stood there, of which nothing can be recognized."""
        source = 'i=0; while [ $i -lt 3000 ]; do echo "$T"; i=$((i + 1)); done; exit 1'
        shell(bench, source, env={"T": Sealed(("", ""), ("token",))})
        assert b"co" not in bench.recorded.replace(b"exit code", b"")

    def test_a_missing_one_is_told_by_name_with_its_cure(self, bench: Bench) -> None:
        failure = shell(bench, "true", env={"T": Sealed(("", ""), ("other",))}).failure
        assert failure.type == "SecretMissing"
        assert "'other'" in failure.message
        assert "HELIOSTAT_SECRET_OTHER" in failure.message

    def test_one_in_the_input_of_a_users_function_is_refused(self, bench: Bench) -> None:
        bench.write("greedy", "def f(x): return x")
        report = bench.call("greedy:f", {"x": Sealed(("", ""), ("token",))})
        assert isinstance(report, Raised)
        assert b"hunter2" not in bench.recorded


class TestStopping:
    """An attempt that is to stop: SIGTERM, then SIGKILL, and no process left of it."""

    def stop_when(self, path: Path) -> Callable[[Current], None]:
        def stop(current: Current) -> None:
            await_(path.exists)
            current.stop()

        return stop

    def test_sigterm_reaches_it_and_its_children(self, bench: Bench, tmp_path: Path) -> None:
        began, ended = tmp_path / "began", tmp_path / "ended"
        report = shell(
            bench,
            f"""
            (trap 'echo child >> {ended}; exit' TERM; touch {began}; while :; do sleep 0.05; done) &
            trap 'echo parent >> {ended}; wait; exit 1' TERM
            wait
            """,
            begun=self.stop_when(began),
        )
        assert report.failure.type == "Cancelled"
        assert sorted(ended.read_text().split()) == ["child", "parent"]

    def test_one_that_ends_well_has_returned_its_output(self, bench: Bench, tmp_path: Path) -> None:
        began = tmp_path / "began"
        report = shell(
            bench,
            f"""
            trap 'echo 42; exit 0' TERM
            touch {began}
            while :; do sleep 0.05; done
            """,
            begun=self.stop_when(began),
        )
        assert isinstance(report, Returned)
        assert report.output == 42

    def test_one_that_ignores_it_is_killed_with_all_its_kin(
        self, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(scripts, "TERM_S", 0.2)
        pids = tmp_path / "pids"
        report = python(
            bench,
            STUBBORN.format(path=str(pids)),
            begun=self.stop_when(pids),
        )
        assert report.failure.type == "Cancelled"
        assert not [pid for pid in map(int, pids.read_text().split()) if alive(pid)]

    def test_what_it_leaves_behind_is_killed(self, bench: Bench, tmp_path: Path) -> None:
        """Even a daemon, and even one that holds the streams open."""
        pids = tmp_path / "pids"
        report = shell(
            bench,
            f"""
            sleep 600 & echo $! > {pids}
            setsid sh -c 'echo $$ >> {pids}; exec sleep 600' &
            while [ $(wc -l < {pids}) -lt 2 ]; do sleep 0.01; done
            echo 1
            """,
        )
        assert report.output == 1
        assert not [pid for pid in map(int, pids.read_text().split()) if alive(pid)]

    def test_nothing_outlives_a_runner_that_is_killed(self, bench: Bench, tmp_path: Path) -> None:
        pids, temporary = tmp_path / "pids", tmp_path / "runner-tmp"
        temporary.mkdir()
        source = STUBBORN.format(path=str(pids))
        program = f"""
            from heliostat.actors.runner.current import Current, enter
            from heliostat.actors.runner.scripts import run
            from heliostat.engine.identity import Address, ExecutionKey
            key, at = ExecutionKey("n", "e"), Address(1, 0, 1, 1)
            enter(Current(key, at, "s", lambda *a: None))
            run(language="python", source={source!r})
        """
        runner = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            env={**os.environ, "TMPDIR": str(temporary)},
        )
        try:
            await_(pids.exists)
            found = list(map(int, pids.read_text().split()))
            assert len(found) == 3
            assert all(map(alive, found))
        finally:
            runner.send_signal(signal.SIGKILL)
            runner.wait()
        await_(lambda: not any(map(alive, found)))
        await_(lambda: not list(temporary.iterdir()))


STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pids = [os.getpid()]
read, write = os.pipe()
if os.fork() == 0:
    os.write(write, b"%d " % os.getpid())
    if os.fork() == 0:
        os.setsid()
        os.write(write, b"%d " % os.getpid())
    time.sleep(600)
while len(pids) < 3:
    pids += map(int, os.read(read, 100).split())
with open({path!r} + ".new", "w") as file:
    print(*pids, file=file)
os.rename({path!r} + ".new", {path!r})
time.sleep(600)
"""
