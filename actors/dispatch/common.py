"""What all crews of a host share, and those who listen at other hosts' runners."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from .bounds import DispatchBounds
from .estimates import Estimates
from .factory import RunnerFactory
from .frames import AttemptKey, Hello
from .placement import Placement
from .protocol import Deliver


class Common:
    """What all crews of a host share."""

    def __init__(
        self,
        factory: RunnerFactory,
        deliver: Deliver,
        *,
        bounds: DispatchBounds,
        placement: Placement | None,
        hello: Callable[[bool], Hello],
        mine: Callable[[AttemptKey], bool],
    ) -> None:
        """Args:
        hello: this host's greeting, to a runner that it feeds or one that it listens to.
        mine: whether an attempt is of an execution of this host.
        """
        self.factory, self.deliver, self.bounds, self.placement = (
            factory,
            deliver,
            bounds,
            placement,
        )
        self.hello, self.mine = hello, mine
        self.estimates = Estimates()
        self.indexes_taken: set[int] = set()
        self.node_count = 1

    def take_index(self) -> int:
        """A number that no runner of this host has."""
        index = next(index for index in itertools.count() if index not in self.indexes_taken)
        self.indexes_taken.add(index)
        return index
