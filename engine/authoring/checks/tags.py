"""Tags of steps that say how long something takes: whole numbers, in order, of ways there are."""

from __future__ import annotations

from ..diagnostics import Findings
from ..fields import (
    COUNT_TAGS,
    DURATION_TAG,
    DURATION_TAGS,
    MAX_DURATION_TAG,
    MIN_DURATION_TAG,
    PROBABILITY_TAG,
    said_number,
    said_probability,
)
from ..model import Step
from ..source import Path

_ORDERED = ((MIN_DURATION_TAG, DURATION_TAG), (DURATION_TAG, MAX_DURATION_TAG),
            (MIN_DURATION_TAG, MAX_DURATION_TAG))  # fmt: skip


def check_tags(step: Step, path: Path, findings: Findings) -> None:
    """Note tags that a proof of times would read, and cannot."""
    tags = step.tags
    for tag in (*DURATION_TAGS, *COUNT_TAGS):
        if tag in tags and said_number(tags, tag) is None:
            unit = " of milliseconds" if tag in DURATION_TAGS else ""
            message = f'"{tags[tag][:40]}" is no whole number{unit}'
            cure = 'as "90000"' if tag in DURATION_TAGS else 'as "20"'
            findings.add("HS013", (*path, "tags", tag), message, cure)
    for tag in tags:
        if tag.startswith(PROBABILITY_TAG) and said_probability(tags[tag]) is None:
            message = f'"{tags[tag][:40]}" is no probability'
            findings.add("HS013", (*path, "tags", tag), message, 'from 0 to 1, as "0.2"')
    for low, high in _ORDERED:
        least, most = said_number(tags, low), said_number(tags, high)
        if least is not None and most is not None and least > most:
            message = f"`{high}` is less than `{low}`, {most} than {least}"
            findings.add("HS018", (*path, "tags", high), message, "let the least be the least")
            break
