"""Who runs first, and where: decisions about capacity, as pure functions of what is known of it.

Start with `protocol.py`, the words that hosts and the scheduler speak. `actors/scheduler/` is the
shell that knows Ray; `actors/dispatch/` is where hosts ask and wait.
"""
