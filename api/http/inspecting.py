"""Looking at the functions of a definition that came over HTTP: in a process of its own.

User's modules are imported to be looked at, and an import runs what a module says. So it happens
neither in the door nor in a host: `inspect` starts a process that finds modules where runners do,
says what it found, and ends. It is killed when it takes too long.

Definitions without activities need none of this. The text itself is read and checked here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from heliostat.actors.client.proving import Proving, Verification
from heliostat.actors.client.registration import Prepared
from heliostat.engine.authoring.activities import ActivityInfo, inspected, options_of
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.model import ActivityStep, Definition
from heliostat.engine.authoring.scopes import scopes_of
from heliostat.engine.authoring.steps import ActivityOptions
from heliostat.engine.errors import DefinitionError, InputError

LOOK_S: Final = 60.0
"""How long importing may take. Large libraries take some seconds, on a busy machine a minute."""

AT_ONCE: Final = 2
"""Processes of one replica: each is a Python with the user's libraries in memory."""

_OUTPUT_MAX: Final = 4 * 1024 * 1024
_TOLD_CHARS: Final = 500


class Asked(Struct, frozen=True):
    """What the process is told: a definition's text and name, and where modules are."""

    text: str
    name: str
    code_path: tuple[str, ...]


class Found(Struct, frozen=True):
    """What it says: the options of the activities by step id and what was seen of their functions,
    or what is wrong."""

    activities: dict[str, ActivityOptions] = {}
    functions: dict[str, ActivityInfo] = {}
    diagnostics: tuple[Diagnostic, ...] = ()


class Inspector:
    """Reads definitions and looks at their functions, for one replica."""

    def __init__(self, code_path: Sequence[Path] = (), proving: Proving | None = None) -> None:
        self._code_path = tuple(str(path) for path in code_path)
        self._proving = proving
        self._room = asyncio.Semaphore(AT_ONCE)
        self._parsing = asyncio.Semaphore(AT_ONCE)

    async def parsed(self, text: str) -> Definition:
        """The definition of a text. It takes the interpreter; requests between have their turns.

        Raises:
            DefinitionError: with a diagnostic for each fault.
        """
        async with self._parsing:
            return await asyncio.to_thread(parse_definition, text)

    async def prepared(
        self, definition: Definition, verification: Verification | None = None
    ) -> Prepared:
        """The definition with what is to be known of its functions and its runs; nothing is stored
        yet.

        Args:
            verification: what to do with what a proof finds; None: as configured.

        Raises:
            DefinitionError: with a diagnostic for each function that a step cannot call; under
                `error` for each fault that a proof finds.
            InputError: the process died, or took too long.
        """
        found = await self._looked(definition) if _calls_functions(definition) else Found()
        prepared = Prepared(
            definition=definition,
            activities=found.activities,
            bundle=b"",
            functions=found.functions,
        )
        if self._proving is None:
            return prepared
        async with self._parsing:
            return await asyncio.to_thread(self._proving.proved, prepared, verification)

    async def _looked(self, definition: Definition) -> Found:
        source = definition.source
        assert source is not None, "it was read from a text"
        asked = Asked(source.text, source.name, self._code_path)
        async with self._room:
            found = await _look(asked)
        if found.diagnostics:
            raise DefinitionError(source.name, found.diagnostics)
        return found


def _calls_functions(definition: Definition) -> bool:
    steps = (step for scope in scopes_of(definition) for step in scope.steps)
    actions = (action for handler in definition.handlers for action in handler.actions)
    return any(isinstance(step, ActivityStep) for step in steps) or any(
        action.custom is not None for action in actions
    )


async def _look(asked: Asked) -> Found:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __name__,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=_OUTPUT_MAX,
        start_new_session=True,  # what it starts is killed with it
    )
    try:
        async with asyncio.timeout(LOOK_S):
            out, err = await process.communicate(msgspec.msgpack.encode(asked))
    except TimeoutError:
        raise InputError(
            f"importing the modules of {asked.name} took longer than {LOOK_S:g} s; import them by "
            f"hand where runners run, and see what they do"
        ) from None
    finally:
        _end(process)
        await process.wait()
    if process.returncode != 0:
        told = err.decode(errors="replace").strip()[-_TOLD_CHARS:]
        raise InputError(
            f"importing the modules of {asked.name} ended the process that did it "
            f"(exit code {process.returncode}): {told or 'it said nothing'}"
        )
    return msgspec.msgpack.decode(out, type=Found)


def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def main() -> None:
    """In the process: read what is asked, look, say what was found."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what modules print is no answer
    asked = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Asked)
    definition = parse_definition(asked.text, asked.name)
    try:
        seen = inspected(definition, asked.code_path, annotated=True)
        found = Found(
            activities=options_of(definition, seen),
            functions={name: replace(each, options=None) for name, each in seen.items()},
        )
    except DefinitionError as error:
        found = Found(diagnostics=error.diagnostics)
    with os.fdopen(answers, "wb") as out:
        out.write(msgspec.msgpack.encode(found))


if __name__ == "__main__":
    main()
