"""How attempts reach whoever makes them, and how their ends come back.

Start at `protocol.py`, the port a host sees. `dispatcher.py` puts what makes attempts behind it.

Warm runners: `pool.py` has a `crew.py` for each runtime environment, and `listening.py` for other
hosts' runners after a take-over. A crew has a `lane.py` to each of its runners, over a `line.py`,
which knows the order of work there (`order.py`); `unix.py` and `ray_calls.py` carry the bytes of
its `frames.py`, over a socket of this node or by calls to an actor of another. What no runner has
room for is in `waiting.py`, and `placing.py` says who gets it. How many runners there are is
`staff.py`'s, with their leases in `runner_leases.py`. `factory.py` says how they come into being;
`processes.py` does it with plain processes, `heliostat.actors.runner.factory` with Ray.

Ray tasks: `ray_lane.py` to the launcher.

Capacity: `placement.py` is the port by which runners and attempts ask for slot leases.
"""
