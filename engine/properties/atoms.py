"""What formulas speak of: what has happened to a step, and how the execution as a whole stands.

    completed(STEP)  failed(STEP)  skipped(STEP)   it has done so, at least once: true for ever then
    open(STEP)                                     a visit of it is open
    done  failed  ended                            the execution has completed, has failed, either
    stuck                                          nothing can happen, and it has not ended
    error_occurred                                 some step has failed
    true  false

An execution ends by a happening of its own: `done` comes true after what its last step did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

STEP_ATOMS: Final = ("completed", "failed", "skipped", "open")
WHOLE_ATOMS: Final = ("done", "failed", "ended", "stuck", "error_occurred", "true", "false")

SYNONYMS: Final = {"end_reached": "ended"}
"""Other words for the same."""

ACTIVE: Final = "step_active_"
"""Before a step's id: another word for `open`."""


class Misformed(Exception):
    """A text is no formula.

    `start` and `end` are offsets into it, of what is wrong; `message` says why.
    """

    def __init__(self, text: str, start: int, end: int, message: str) -> None:
        super().__init__(text, start, end, message)
        self.text, self.start, self.end, self.message = text, start, end, message

    def __str__(self) -> str:
        return f"{self.text!r} is no formula: {self.message}, at column {self.start + 1}"


@dataclass(frozen=True, slots=True)
class Atom:
    """Something that is true or false at a moment; without `step` of the execution as a whole."""

    name: str
    step: str | None = None

    def __str__(self) -> str:
        return self.name if self.step is None else f"{self.name}({self.step})"


TRUE: Final = Atom("true")
FALSE: Final = Atom("false")
