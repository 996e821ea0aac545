"""Warm runners: processes that run user code, one attempt at a time, and outlive their hosts.

Everything here works without Ray, as a plain process (`python -m heliostat.actors.runner`); only
`actor.py` and `factory.py` know of it. Start at `runner.py`, the process; `connection.py` is what
it says to hosts, over a socket (`service.py`) or by Ray calls (`called.py`); `attempt.py` makes one
attempt, of which `functions.py` finds the code, `arguments.py` and `encoding.py` carry values over
the boundary, and `current.py` is what user code may ask.
"""
