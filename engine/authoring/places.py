"""Where the steps of a definition stand in the source that it was compiled from, if it was.

Kept under `metadata`, since they mean nothing to what runs: `{python: {places: {step: place}}}`, a
place being `file:line:column`. Whoever wrote something else there has no places.
"""

from __future__ import annotations

from collections.abc import Mapping

from .model import Definition


def places_of(definition: Definition) -> Mapping[str, str]:
    """The places by step id."""
    python = definition.metadata.get("python")
    places = python.get("places") if isinstance(python, dict) else None
    if not isinstance(places, dict):
        return {}
    return {step: place for step, place in places.items() if isinstance(place, str)}
