"""What docs/scripts-and-services.md says of errors and bounds is so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliostat.actors.runner import builtin, capture, scripts, service_calls
from heliostat.actors.runner.builtin import BuiltinError

TEXT = (Path(__file__).parents[2] / "docs" / "scripts-and-services.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| (`[^|]*`) \|", TEXT, re.MULTILINE))


def errors(kind: type[BuiltinError] = BuiltinError) -> Iterator[type[BuiltinError]]:
    for below in kind.__subclasses__():
        if not below.__name__.startswith("Status"):  # made when they are met
            yield below
            yield from errors(below)


@pytest.mark.parametrize("kind", sorted(set(errors()), key=lambda kind: kind.__name__))
def test_every_error_has_its_row_and_place(kind: type[BuiltinError]) -> None:
    above = re.findall(r"`(\w+)`", ROWS[kind.__name__])
    assert above == [base.__name__ for base in kind.__bases__]
    assert kind.__name__ in str(builtin.__doc__)


def test_bounds_are_those_of_the_code() -> None:
    assert scripts.OUTPUT_BYTES_MAX == service_calls.RESPONSE_BYTES_MAX == 16 * 1024 * 1024
    assert TEXT.count("16 MiB") >= 4
    assert (service_calls.CONNECT_S_MAX, service_calls.SILENCE_S_MAX) == (30, 30)
    assert f"{service_calls.TOTAL_S_MAX:g} s in all" in TEXT
    assert scripts.TERM_S == 5
    assert service_calls.REDIRECTS_MAX == 5
    assert capture.KEPT_CHARS_MAX == 16 * 1024
    for name in scripts.BASE_VARIABLES:
        assert f"`{name}`" in TEXT
