"""The command line as a frame: helps, documentation, errors and exit codes. No Ray is started."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from heliostat.api.cli.app import app, exit_code, main
from heliostat.api.cli.inputs import read_value
from heliostat.api.cli.output import printable
from heliostat.engine import errors

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden" / "help.txt"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command by what is typed for it, groups before their members."""

    def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield name, command
        if isinstance(command, click.Group):
            for member in sorted(command.commands):
                yield from walk(f"{name} {member}", command.commands[member])

    yield from walk("heliostat", app)


def help_of_everything() -> str:
    pages = []
    for name, command in commands():
        context = click.Context(command, info_name=name, terminal_width=80)
        context.help_option_names = ["-h", "--help"]
        pages.append(f"$ {name} --help\n{command.get_help(context)}\n")
    return "\n".join(pages)


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exited:
        main(list(arguments))
    out, err = capsys.readouterr()
    assert isinstance(exited.value.code, int)
    return exited.value.code, out, err


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("HELIOSTAT_")]:
        monkeypatch.delenv(name)
    return tmp_path


def test_help_is_as_reviewed() -> None:
    """Rewrite with `UPDATE_GOLDEN=1 pytest tests/api`, and review the difference."""
    found = help_of_everything()
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(found, encoding="utf-8")
    assert found == GOLDEN.read_text(encoding="utf-8")


def test_every_command_and_option_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    sections = dict(
        re.findall(
            r"^## `(heliostat[^`]*)`\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL
        )
    )
    leaves = {name: command for name, command in commands() if not isinstance(command, click.Group)}
    assert set(sections) == set(leaves)
    for name, command in leaves.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in COMMON:
                assert f"`{parameter.opts[0]}" in sections[name], f"{name} {parameter.opts[0]}"


COMMON = {"help", "server", "data", "config", "namespace", "output"}
"""Documented once for all commands."""


class TestExitCodes:
    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (errors.ExecutionFailed("x", {}), 1),
            (errors.DefinitionError("x", []), 2),
            (errors.ConfigurationError("x"), 2),
            (errors.NotFound("execution", "x"), 2),
            (errors.Duplicate("x"), 2),
            (errors.ExecutionCanceled("x"), 3),
            (errors.Unreachable("x"), 4),
            (errors.ResultTimeout("x", 1), 4),
            (errors.Overloaded("x", 1), 4),
            (errors.JournalLocked("x"), 4),
        ],
    )
    def test_of_an_error(self, error: errors.HeliostatError, code: int) -> None:
        assert exit_code(error) == code

    def test_every_error_has_one(self) -> None:
        def subclasses(type_: type[errors.HeliostatError]) -> Iterator[type]:
            for subclass in type_.__subclasses__():
                yield subclass
                yield from subclasses(subclass)

        from heliostat.api.cli.app import EXIT_CODES

        for type_ in subclasses(errors.HeliostatError):
            if type_.__module__ == errors.__name__:
                assert any(issubclass(type_, known) for known, _ in EXIT_CODES), type_


class TestErrors:
    """One clear message on stderr, in the format asked for; nothing on stdout."""

    def test_wrong_usage(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = ran(capsys, "workflow", "status")
        assert (code, out) == (2, "")
        assert err.startswith("error: Missing argument 'ID'")
        assert "--help" in err

    def test_wrong_usage_in_json(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = ran(capsys, "nonsense", "--format", "json")
        assert (code, out) == (2, "")
        assert json.loads(err)["code"] == "USAGE"

    def test_nothing_is_up(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (here / "good.yaml").write_text('id: a\nversion: "1"\nsteps: [{id: s, type: decision}]\n')
        for arguments in (
            ("workflow", "list"),
            ("workflow", "history", "x"),
            ("workflow", "result", "x"),
            ("workflow", "cancel", "x"),
            ("workflow", "pause", "x"),
            ("workflow", "resume", "x"),
            ("workflow", "retry", "x"),
            ("workflow", "signal", "x", "--name", "go"),
            ("workflow", "start", "order"),
            ("register", "good.yaml"),
            ("task", "list"),
            ("task", "show", "x:1:2:1:1"),
            ("task", "claim", "x:1:2:1:1"),
            ("task", "release", "x:1:2:1:1"),
            ("task", "assign", "x:1:2:1:1", "--assignee", "ann"),
            ("task", "complete", "x:1:2:1:1"),
            ("event", "publish", "--event-type", "order.paid"),
        ):
            code, out, err = ran(capsys, *arguments, "--format=json")
            assert (code, out) == (4, ""), arguments
            body = json.loads(err)
            assert set(body) == {"code", "error", "message", "details"}
            assert body["code"] == "UNREACHABLE"
            assert "heliostat up" in body["message"]

    def test_status_of_nothing(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = ran(capsys, "status", "--format", "json")
        assert (code, err) == (4, "")
        assert json.loads(out)["up"] is False

    def test_down_of_nothing_is_harmless(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, _ = ran(capsys, "down")
        assert code == 0
        assert "no deployment is up" in out
        assert not (here / ".heliostat").exists()

    def test_a_wrong_definition(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (here / "bad.yaml").write_text(
            'id: bad\nversion: "1"\nsteps:\n'
            "  - {id: a, type: decision, output: $.steps.b.output, next: c}\n"
        )
        code, out, err = ran(capsys, "run", "bad.yaml")
        assert (code, out) == (2, "")
        assert "bad.yaml:4:" in err
        assert err.count("error[HS") == 2
        code, _, err = ran(capsys, "run", "bad.yaml", "--format", "json")
        body = json.loads(err)
        assert (code, body["code"]) == (2, "INVALID_DEFINITION")
        assert len(body["details"]["diagnostics"]) == 2

    def test_every_file_is_read_before_anybody_is_asked(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        good = 'id: a\nversion: "1"\nsteps: [{id: s, type: decision}]\n'
        (here / "good.yaml").write_text(good)
        (here / "bad.yaml").write_text(good.replace("decision", "decisions"))
        for arguments in (
            ("register", "good.yaml", "bad.yaml"),
            ("run", "good.yaml", "--with", "bad.yaml"),
        ):
            code, out, err = ran(capsys, *arguments)
            assert (code, out) == (2, ""), arguments
            assert "bad.yaml:3:" in err

    def test_a_task_id_that_is_none(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for command in ("show", "claim"):
            code, _, err = ran(capsys, "task", command, "1:2:1:1")
            assert code == 2
            assert "EXECUTION:SCOPE:STEP:VISIT:ATTEMPT" in err

    def test_a_value_given_as_the_data_directory(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, _, err = ran(capsys, "task", "complete", "x:1:2:1:1", "--data", '{"ok": true}')
        assert code == 2
        assert "--output" in err
        code, _, err = ran(capsys, "workflow", "signal", "x", "-n", "go", "--data", '{"ok": true}')
        assert code == 4, "it is what the signal carries"
        for name, carried in (("good.json", "{}"), ("bad.json", "{")):
            (here / name).write_text(carried)
            code, _, err = ran(capsys, "event", "publish", "-e", "go", "--data", name)
            assert code == (4 if name == "good.json" else 2), err
        code, _, err = ran(capsys, "event", "publish", "-e", "go", "--data", "good.json", "-d", "1")
        assert (code, "leave one out" in err) == (2, True)

    def test_a_payload_that_is_not_json(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for arguments in (
            ("workflow", "signal", "x", "-n", "go", "-d", "{"),
            ("event", "publish", "-e", "go", "-d", "{"),
        ):
            code, _, err = ran(capsys, *arguments)
            assert code == 2
            assert "--payload is not JSON" in err
        code, _, err = ran(capsys, "task", "complete", "x:1:2:1:1", "-o", "{")
        assert (code, "--output is not JSON" in err) == (2, True)

    def test_a_file_that_is_not_there(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        code, _, err = ran(capsys, "run", "none.yaml")
        assert code == 2
        assert "none.yaml" in err

    def test_an_input_that_is_not_json(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, _, err = ran(capsys, "run", "x.yaml", "--input", "{a: 1}")
        assert code == 2
        assert "--input is not JSON" in err

    def test_a_wrong_setting(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (here / "heliostat.toml").write_text("hosts = 3\n")
        code, _, err = ran(capsys, "up")
        assert code == 2
        assert "hosts = 3" in err

    @pytest.mark.parametrize(
        "url", ["postgresql://me:geheim@db/x", "postgresql://db/x?password=geheim"]
    )
    def test_a_password_in_the_command_line(
        self, here: Path, capsys: pytest.CaptureFixture[str], url: str
    ) -> None:
        code, _, err = ran(capsys, "up", "--journal", url)
        assert code == 2
        assert "--journal" in err
        assert "HELIOSTAT_JOURNAL" in err
        assert "geheim" not in err
        assert not (here / ".heliostat").exists()


class TestDiagram:
    """`workflow diagram`: of a file, or of a function in one."""

    SHOP = """
import heliostat as hs

@hs.step
def pack(order: str) -> str: ...

@hs.workflow
def send(order: str) -> str:
    return pack(order)
"""

    def test_of_a_function_and_of_what_it_compiles_to(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (here / "packing.py").write_text(self.SHOP)
        code, drawn, _ = ran(capsys, "workflow", "diagram", "packing.py:send")
        assert code == 0
        assert drawn.startswith("flowchart TD\n")
        assert ran(capsys, "workflow", "diagram", "packing.py")[1] == drawn
        (here / "one.yaml").write_text("id: one\nversion: '1'\nsteps: [{id: a, type: decision}]")
        code, out, _ = ran(capsys, "workflow", "diagram", "one.yaml", "-l", "dot")
        assert code == 0
        assert out.startswith('digraph "one" {')

    def test_of_what_is_not_there(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (here / "two.py").write_text(self.SHOP + self.SHOP.replace("send", "carry"))
        for named, words in {
            "two.py": "several workflows: write two.py:NAME with one of send, carry",
            "two.py:carri": "no workflow 'carri'",
            "three.py": "there is no file three.py",
        }.items():
            code, _, err = ran(capsys, "workflow", "diagram", named)
            assert code == 2
            assert words in err


class TestInput:
    """`--input`: JSON, a file with JSON or YAML, or stdin."""

    def test_where_it_comes_from(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (here / "in.json").write_text('{"a": [1, 2]}')
        (here / "in.yaml").write_text("a: [1, 2]\nyes: no\n")
        monkeypatch.setattr("sys.stdin", io.StringIO("3"))
        assert read_value(None, "--input") is None
        assert read_value('{"a": 1}', "--input") == {"a": 1}
        assert read_value("@in.json", "--input") == {"a": [1, 2]}
        assert read_value("@in.yaml", "--input") == {"a": [1, 2], "yes": "no"}
        assert read_value("-", "--input") == 3

    @pytest.mark.parametrize(
        ("content", "words"), [("a: 1\na: 2\n", "in.yaml:2"), ("a: [", "in.yaml")]
    )
    def test_a_wrong_file(self, here: Path, content: str, words: str) -> None:
        (here / "in.yaml").write_text(content)
        with pytest.raises(errors.InputError, match=words):
            read_value("@in.yaml", "--input")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("[" * 100_000, "--input is nested too deep"),
            ("9" * 5_000, "--input cannot be used: a number has too many digits"),
            ("[NaN]", "--input cannot be used: NaN does not exist in JSON"),
            ('"\\ud800"', r"--input has a text with '\ud800', half of a character"),
            ('"\udcff"', "half of a character"),  # what no UTF-8 on the command line becomes
            ("@", "the input file '.' cannot be read: Is a directory"),
        ],
        ids=["deep", "long number", "NaN", "half a character", "bytes", "folder"],
    )
    def test_what_is_no_value_is_said_in_words(self, here: Path, text: str, words: str) -> None:
        with pytest.raises(errors.InputError) as raised:
            read_value(text, "--input")
        assert words in str(raised.value)

    def test_bytes_that_are_no_text(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (here / "in.json").write_bytes(b'"\xff"')
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff"), encoding="utf-8"))
        with pytest.raises(errors.InputError, match=r"'in\.json' is not UTF-8: its byte 1"):
            read_value("@in.json", "--input")
        with pytest.raises(errors.InputError, match="stdin is not UTF-8: its byte 0"):
            read_value("-", "--input")


class TestTerminal:
    """Other people's names and messages are shown, and never obeyed."""

    def test_control_characters_are_written_out(
        self, here: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (here / "odd.yaml").write_text('id: "a\\e[2Jb\\u0000"\nversion: "1"\nsteps: []\n')
        code, _, err = ran(capsys, "verify", "odd.yaml")
        assert code == 2
        assert r'"a\x1b[2Jb\x00" cannot name' in err
        assert "\x1b[2J" not in err

    def test_what_is_for_people_to_read_stays(self) -> None:
        assert printable("Ünï 日本\n\ttab\r\n\x1b[31mred\x1b[0m") == (
            "Ünï 日本\n\ttab\n\x1b[31mred\x1b[0m"
        )
        assert printable("\x1b]0;title\x07 \u202eback") == r"\x1b]0;title\x07 \u202eback"

    def test_an_argument_that_is_no_text_names_nothing(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Wherever it is found out: when a request is written, and not before."""
        monkeypatch.setattr(app, "main", lambda args, **_: args[-1].encode())
        code, _, err = ran(capsys, "workflow", "status", "\udcff")
        assert code == 2
        assert err == "error: the argument '\\udcff' is not UTF-8, and names nothing\n"
        monkeypatch.setattr(app, "main", lambda **_: "\udcff".encode())
        code, _, err = ran(capsys, "workflow", "list")
        assert (code, "heliostat has a fault" in err) == (70, True)

    def test_without_a_command_it_is_the_help(self, capsys: pytest.CaptureFixture[str]) -> None:
        code, out, err = ran(capsys)
        assert (code, out) == (2, "")
        assert err.startswith("Usage: heliostat ")


def test_cases_that_cannot_be_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "it.yaml").write_text('id: it\nversion: "1"\nsteps: [{id: a, type: decision}]\n')
    code, _, err = ran(capsys, "cases", "it.yaml", "--output", "nowhere/cases.py")
    assert code == 2
    assert "--output 'nowhere/cases.py' cannot be written: No such file or directory" in err
