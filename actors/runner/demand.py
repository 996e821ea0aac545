"""Whether tasks or actors of others wait for CPUs of this cluster, as Ray's autoscaler sees it."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray

_log = logging.getLogger(__name__)


class DemandProbe:
    """Asks Ray for pending requests. Runners that are being made are no demand of others."""

    def __init__(self) -> None:
        self._ours: Counter[frozenset[tuple[str, float]]] = Counter()
        self._client: Any = None
        self._told_failure = False

    @contextmanager
    def ours(self, shape: Mapping[str, float]) -> Iterator[None]:
        """While inside, one pending request of this shape is the caller's own."""
        key = _key(shape)
        self._ours[key] += 1
        try:
            yield
        finally:
            self._ours[key] -= 1

    def waits(self) -> bool:
        """Blocks for a call to Ray's GCS. A failing one is told once and counts as no demand."""
        try:
            pending = self._pending()
        except Exception as error:  # noqa: BLE001  # private to Ray: whatever it raises, work goes on
            if not self._told_failure:
                self._told_failure = True
                _log.warning("cannot see what waits for CPUs; runners give way to none: %s", error)
            return False
        self._told_failure = False
        pending.subtract(self._ours)
        return any(count > 0 and dict(shape).get("CPU", 0) > 0 for shape, count in pending.items())

    def _pending(self) -> Counter[frozenset[tuple[str, float]]]:
        from ray._raylet import GcsClient  # type: ignore[attr-defined]  # a compiled module
        from ray.autoscaler.v2.sdk import get_cluster_resource_state

        if self._client is None:
            self._client = GcsClient(address=ray.get_runtime_context().gcs_address)
        state: Any = get_cluster_resource_state(self._client)
        pending: Counter[frozenset[tuple[str, float]]] = Counter()
        for request in state.pending_resource_requests:
            pending[_key(request.request.resources_bundle)] += request.count
        for gang in state.pending_gang_resource_requests:
            for bundle in gang.requests:
                pending[_key(bundle.resources_bundle)] += 1
        return pending


def _key(shape: Mapping[str, float]) -> frozenset[tuple[str, float]]:
    return frozenset((name, round(amount, 4)) for name, amount in shape.items() if amount)
