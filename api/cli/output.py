"""All that the command line writes: results on stdout, everything else on stderr.

In JSON format stdout holds one JSON value (one per line where a command follows something) and
stderr nothing but the error, if any; progress is for people and is left out.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal

import click
import msgspec

from heliostat.engine.values import to_json

Format = Literal["text", "json"]

_CONTROL: Final = re.compile(
    r"(\x1b\[[0-9;]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)
"""What a terminal would obey instead of showing it; colours are let through."""


class Output:
    """Writes in the format the user asked for."""

    def __init__(self, format: Format) -> None:
        self.format = format

    def result(self, value: Any, text: Callable[[], str | None] | None = None) -> None:
        """The answer: `value` as JSON, or for people what `text` returns (default: that JSON)."""
        if self.format == "json":
            click.echo(json_text(value))
        elif text is None:
            click.echo(json_text(value, indent=2))
        elif (words := text()) is not None:
            click.echo(printable(words))

    def note(self, message: str) -> None:
        """Progress for people."""
        if self.format == "text":
            click.echo(printable(message), err=True)

    def error(self, *, code: str, title: str, message: str, details: Any) -> None:
        """The one message of a command that failed."""
        if self.format == "json":
            body = {"code": code, "error": title, "message": message, "details": details}
            click.echo(json_text(body), err=True)
        else:
            click.echo(f"{styled('error', 'red')}: {printable(message)}", err=True)

    @contextmanager
    def progress(self, message: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
        """A spinner while something long goes on, on a terminal; elsewhere one line.

        Yields a function that changes what it says.

        Args:
            quiet: say nothing elsewhere.
        """
        if self.format == "json" or not sys.stderr.isatty():
            if not quiet:
                self.note(message)
            yield lambda _: None
            return
        from rich.console import Console

        with Console(stderr=True).status(message) as status:
            yield lambda text: status.update(text)


def printable(text: str) -> str:
    """The text with its control characters written out (`\\x1b`): names, messages and what steps
    printed are other people's, and are not to move a cursor or to clear a screen here."""
    return _CONTROL.sub(lambda found: found[1] or ascii(found[0])[1:-1], text.replace("\r\n", "\n"))


def json_text(value: Any, *, indent: int = 0) -> str:
    """JSON with references in it shown as objects; keys keep their order."""
    body = msgspec.json.encode(to_json(value), enc_hook=str)
    return (msgspec.json.format(body, indent=indent) if indent else body).decode()


def styled(text: str, colour: str) -> str:
    """The text in a colour; click takes it off where no terminal shows it."""
    return text if os.environ.get("NO_COLOR") else click.style(text, fg=colour)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str | None:
    """Columns: drawn on a terminal (then None is returned), else aligned by spaces."""
    if sys.stdout.isatty():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        drawn = Table(box=box.SIMPLE_HEAD)
        for index, heading in enumerate(headings):
            drawn.add_column(heading, no_wrap=index == 0, overflow="fold")  # ids can be copied
        for row in rows:
            drawn.add_row(*(printable(cell).replace("[", r"\[") for cell in row))
        Console().print(drawn)
        return None
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (headings, *rows)
    )


def instant(at_ms: int) -> str:
    """An instant for people, in UTC."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1_000))
    return f"{whole}.{at_ms % 1_000:03}Z"
