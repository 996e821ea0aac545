"""Values on the command line: JSON, a file with it, stdin; and `KEY=VALUE` pairs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from heliostat.engine.errors import InputError

Command = TypeVar("Command", bound=Callable[..., Any])

METAVAR: Final = "JSON|@FILE|-"

_NAME_CHARS_MAX: Final = 1_000
"""Of a file's name; a longer text is a value."""


def data_option(*names: str, help: str) -> Callable[[Command], Command]:
    """An option whose value is a JSON value, read by `read_value`."""
    return click.option(*names, metavar=METAVAR, help=help)


def read_value(text: str | None, option: str) -> Any:
    """JSON, `@file` (or the name of one that is there) with JSON or YAML, or `-` for stdin; absent,
    null.

    Raises:
        InputError: it cannot be read; names `option` or the file, and the place.
    """
    if text is None:
        return None
    if text == "-":
        return _parsed(_standard_input(), "stdin")
    if not text.startswith("@"):
        if not _names_file(text):
            return _parsed(text, option)
        text = f"@{text}"
    path = Path(text[1:])
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"the input file {str(path)!r} cannot be read: {why}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the input file {str(path)!r} {_not_utf8(error)}") from error
    return _yaml(content, path) if path.suffix in (".yaml", ".yml") else _parsed(content, str(path))


def _names_file(text: str) -> bool:
    """Whether it is the name of a file that is there, and no JSON."""
    if text[:1] in ("{", "[", '"') or len(text) > _NAME_CHARS_MAX or "\n" in text:
        return False
    return Path(text).is_file()


def read_input(text: str | None) -> Any:
    """`read_value` of `--input`."""
    return read_value(text, "--input")


def read_tags(pairs: Sequence[str]) -> dict[str, str]:
    """`KEY=VALUE` options as a mapping; raises `InputError`."""
    tags = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--tag {pair!r} is not KEY=VALUE")
        tags[key] = value
    return tags


def _yaml(text: str, path: Path) -> Any:
    """As definitions are read: YAML 1.2, every fault with its place."""
    from heliostat.engine.authoring import yaml12
    from heliostat.engine.authoring.diagnostics import Findings
    from heliostat.engine.authoring.source import Source

    source = Source(path.name, text)
    findings = Findings(path.name, None, source)
    value = None
    with suppress(yaml12.Unreadable):  # then the findings say why
        value = yaml12.read(source, findings)
    if findings:
        faults = "\n".join(str(fault) for fault in findings.all())
        raise InputError(f"the input file {str(path)!r} cannot be used:\n{faults}")
    return value


def _standard_input() -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise InputError(f"stdin {_not_utf8(error)}") from error


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"is not UTF-8: its byte {error.start} is no text"


def _parsed(text: str, source: str) -> Any:
    """JSON as every way in takes it: no NaN, and only text that can be written again."""
    try:
        value = json.loads(text, parse_constant=_refused)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InputError(
            f"{source} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise InputError(
            f"{source} has a text with {half!a}, half of a character, which nothing can store: "
            f"leave it out"
        ) from error
    except RecursionError as error:
        raise InputError(f"{source} is nested too deep to be read: flatten it") from error
    except ValueError as error:  # Python's bound for the digits of an integer, or `_refused`
        why = "a number has too many digits" if "digits" in str(error) else str(error)
        raise InputError(f"{source} cannot be used: {why}; send it as a text, or null") from error
    return value


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} does not exist in JSON")
