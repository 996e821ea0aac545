"""Every bound of the expression language, in one place, each with its reason.

Reaching a bound while a text is read is a diagnostic (`HS108`), while it is evaluated an
`ExpressionError`. None is configurable: the same definition must mean the same everywhere.
"""

from __future__ import annotations

from typing import Final

SOURCE_CHARS_MAX: Final = 16_384
"""Longest text read as an expression; the longest seen in practice is a few hundred."""

DEPTH_MAX: Final = 100
"""Nesting of an expression or of a data field.

Reading, checking and running recurse with at most four Python frames a level, which stays clear
of the interpreter's 1,000 whatever the caller has used of them.
"""

VALUE_DEPTH_MAX: Final = 200
"""Nesting of a value that is compared, printed or descended into: one frame a level."""

WORK_UNITS_MAX: Final = 1_000_000
"""Elements one evaluation may touch: less than half a second of a host's only thread.

Counted in loops, an element each, not at nodes: outside filters a node runs once, so that the
length of the text bounds their number.
"""

TEXT_CHARS_MAX: Final = 4 * 1024 * 1024
"""Characters one evaluation may produce; equals the bound on what it may read as extracts."""

SCAN_CHARS_PER_UNIT: Final = 64
"""Characters searched or compared for one unit of work: it takes about as long as an element."""

RANGE_ITEMS_MAX: Final = 1_000_000
"""Items of a `range`, as of a `foreach`."""

INTEGER_BITS: Final = 64
"""Signed; what the journal's encoding and every client's JSON library can carry."""

INTEGER_MAX: Final = 2 ** (INTEGER_BITS - 1) - 1
INTEGER_MIN: Final = -(2 ** (INTEGER_BITS - 1))

INDEX_MAX: Final = 2**53 - 1
"""Largest index or slice bound in a path (RFC 9535 §2.1)."""

PATTERN_STATES_MAX: Final = 2_000
"""States of a compiled pattern of `match` and `search`, counted repetitions written out."""
