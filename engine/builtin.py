"""Script and service steps as the engine sees them: activities of functions that heliostat brings.

A runner finds the function by `TARGETS`; its keyword arguments are the step's own fields, named in
`DATA_FIELDS` and `CONSTANT_FIELDS`. Put together they are the step's compiled input
(`expressions.parse_fields`): constants stand in it untouched, since the source of a shell script is
full of `${…}` that is none of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TARGETS: Final[Mapping[str, str]] = {
    "script": "heliostat.actors.runner.scripts:run",
    "service_call": "heliostat.actors.runner.service_calls:call",
}
"""By the step's `type`."""

DATA_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "script": ("env", "input"),
    "service_call": ("url", "headers", "query", "body"),
}
"""Fields in which expressions stand. One that the step does not say is left out."""

CONSTANT_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "script": ("language", "source"),
    "service_call": ("method", "expect"),
}

SECRET_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "script": ("env",),
    "service_call": ("url", "headers", "body"),
}
"""Fields in which `$.secrets` may be read, bare or within a text."""

NEVER_RETRIED: Final = ("PermanentServiceError", "SecretMissing")
"""Errors of theirs that another attempt would only repeat: retried only where `retry.on` names
them or a class below them, such as `Status404`."""
