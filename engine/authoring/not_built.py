"""What the language has and this version does not run yet, each refused by its name.

Kept apart so that building a thing means deleting a line here. The checks ask these tables before
they call a field unknown.
"""

from __future__ import annotations

from typing import Final

DEFINITION_FIELDS: Final[dict[str, str]] = {}

STEP_FIELDS: Final[dict[str, str]] = {
    "undo": "`undo`; say `on_error` with `next` to a step that undoes it",
}

OTHER_FIELDS: Final[dict[str, dict[str, str]]] = {
    "ErrorClause": {
        "compensate": "`compensate` in `on_error`; say `next` to a step that undoes it",
    },
    "Handler": {"timeout": "`timeout` of a handler"},
}
"""By the model that would have the field."""

VALUES: Final[dict[tuple[str, str], str]] = {}
"""By field and value."""
