"""Nets that were made lately, by the content of their definition."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from heliostat.engine.plan.plan import Plan
from heliostat.verify.nets.translation import Detail, Translation, translate

CACHE_MAX: Final = 100
"""Nets that are kept; the one that was asked for longest ago goes first."""


class NetCache:
    """Translates each content once; a definition changed under its version has another hash."""

    def __init__(self, size_max: int = CACHE_MAX) -> None:
        self._size_max = size_max
        self._kept: OrderedDict[tuple[str, Detail], Translation] = OrderedDict()

    def translation(self, plan: Plan, detail: Detail = "full") -> Translation:
        """The net of a plan."""
        key = plan.content_hash, detail
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = translate(plan, detail)
            if len(self._kept) > self._size_max:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return found

    def __len__(self) -> int:
        return len(self._kept)
