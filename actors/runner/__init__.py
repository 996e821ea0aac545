"""Warm runners: processes that run user code, one attempt at a time, and outlive their hosts.

Everything here works without Ray, as a plain process (`python -m heliostat.actors.runner`); only
`actor.py` and `factory.py` know of it. Start at `runner.py`, the process; `attempt.py` makes one
attempt, of which `functions.py` finds the code, `arguments.py` and `encoding.py` carry values over
the boundary, and `current.py` is what user code may ask.
"""
