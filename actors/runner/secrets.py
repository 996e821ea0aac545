"""Secrets on the machine that uses them: found by name, put in their places, kept out of records.

A secret comes from the environment of the runner, `HELIOSTAT_SECRET_<NAME>`, or from the file that
`secrets_file` names: TOML with one `name = "value"` a line, which nobody but its owner may read. It
is looked up anew for each attempt, so that a change in the file counts from the next one on.

Scrubbing is the second line of defence and not the first: it takes a value out of what is recorded
where it stands as it is or in one of a few usual spellings. A program that prints a secret's
letters one by one will be recorded doing so.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

from heliostat.engine.values import Sealed, Value

from .builtin import SecretMissing

VARIABLE_PREFIX: Final = "HELIOSTAT_SECRET_"

FILE_BYTES_MAX: Final = 1024 * 1024

SCRUB_CHARS_MIN: Final = 4
"""A shorter secret would blacken half of what is recorded, and is none."""

SCRUBBED: Final = "[secret]"


def variable_of(name: str) -> str:
    """The environment variable of a secret."""
    return VARIABLE_PREFIX + name.upper()


class Secrets:
    """Where this process finds secrets."""

    def __init__(
        self, file: Path | None = None, *, environment: Mapping[str, str] | None = None
    ) -> None:
        self._file = file
        self._environment = os.environ if environment is None else environment

    def value(self, name: str) -> str:
        """The value of a secret; the environment's comes before the file's.

        Raises:
            SecretMissing: there is none, or the file may not be used; says what to do.
        """
        given = self._environment.get(variable_of(name))
        if given is None and self._file is not None:
            given = self._in_file(self._file).get(name)
        if given and _is_text(given):
            return given
        what = f"there is no secret {name!r} here"
        if given is not None:
            what = f"the secret {name!r} is " + ("not UTF-8" if given else "empty")
        where = "name a file by `secrets_file` in the configuration and add it there"
        if self._file is not None:
            where = f"add it to {str(self._file)!r}"
        raise SecretMissing(
            f"{what}: set the environment variable {variable_of(name)} where the deployment is "
            f"started, or {where}"
        )

    def open(self, value: Value) -> tuple[Value, Scrubber | None]:
        """The value with every secret in its place, and what takes them out of records again.

        Raises:
            SecretMissing: one of them cannot be had.
        """
        opening = _Opening(self.value)
        opened = opening.opened(value)
        return opened, Scrubber(opening.used.values()) if opening.used else None

    def _in_file(self, path: Path) -> dict[str, str]:
        try:
            with path.open("rb") as file:
                _check(os.fstat(file.fileno()), path)
                content = file.read(FILE_BYTES_MAX + 1)
            if len(content) > FILE_BYTES_MAX:
                raise SecretMissing(f"the secrets file {str(path)!r} is longer than 1 MiB")
            secrets = tomllib.loads(content.decode())
        except OSError as error:
            raise SecretMissing(
                f"the secrets file {str(path)!r} cannot be read: {error.strerror}; see "
                f"`secrets_file` in docs/configuration.md"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            # Not the parser's words: they may quote a secret.
            raise SecretMissing(
                f'the secrets file {str(path)!r} is not TOML: write one `name = "value"` a line'
            ) from None
        for name, value in secrets.items():
            if not isinstance(value, str):
                raise SecretMissing(
                    f"{name!r} in the secrets file {str(path)!r} is no text: put it in quotes"
                )
        return secrets


def _check(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise SecretMissing(f"the secrets file {str(path)!r} is no regular file")
    if found.st_uid not in (os.geteuid(), 0):
        raise SecretMissing(
            f"the secrets file {str(path)!r} belongs to another user ({found.st_uid}): it must be "
            f"owned by the one that runs heliostat"
        )
    if found.st_mode & 0o077:
        raise SecretMissing(
            f"the secrets file {str(path)!r} is open to others (mode "
            f"{stat.S_IMODE(found.st_mode):o}): chmod 600 it"
        )


def _is_text(value: str) -> bool:
    """Environment variables may hold any bytes; those that are no text come as lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Opening:
    """One value being opened; asks for each secret once."""

    def __init__(self, value_of: Callable[[str], str]) -> None:
        self._value_of = value_of
        self.used: dict[str, str] = {}

    def opened(self, value: Value) -> Value:
        if isinstance(value, Sealed):
            return value.opened(self._value)
        if type(value) is dict:
            return {key: self.opened(member) for key, member in value.items()}
        if type(value) is list:
            return [self.opened(item) for item in value]
        return value

    def _value(self, name: str) -> str:
        if name not in self.used:
            self.used[name] = self._value_of(name)
        return self.used[name]


class Scrubber:
    """Takes certain values out of texts and trees."""

    def __init__(self, values: Iterable[str]) -> None:
        spellings = {spelling for value in values for spelling in _spellings(value)}
        longest_first = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._bytes = [spelling.encode("utf-8", "replace") for spelling in longest_first]

    def text(self, text: str) -> str:
        """The text with `[secret]` in place of each."""
        return self._pattern.sub(SCRUBBED, text)

    def tree(self, value: Any) -> Any:
        """The same for every text and key in a tree; what is no text stays."""
        if isinstance(value, str):
            return self.text(value)
        if type(value) is dict:
            return {self.tree(key): self.tree(member) for key, member in value.items()}
        if type(value) is list:
            return [self.tree(item) for item in value]
        if type(value) is bytes:
            for spelling in self._bytes:
                value = value.replace(spelling, SCRUBBED.encode())
        return value


def _spellings(value: str) -> Iterable[str]:
    """As it is, line by line, and as JSON, Python and URLs write it."""
    for part in {value, value.strip(), *value.splitlines()}:
        for spelling in (
            part,
            json.dumps(part)[1:-1],
            json.dumps(part, ensure_ascii=False)[1:-1],
            repr(part)[1:-1],
            quote(part),
            quote(part, safe=""),
            quote_plus(part),
        ):
            if len(spelling) >= SCRUB_CHARS_MIN:
                yield spelling
