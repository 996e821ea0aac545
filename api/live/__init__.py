"""The state and the events of executions, live, to many readers.

`progress.py` is pure: the fold of an execution's events into what each of its steps does.
`hub.py` follows executions for all readers of one process, `socket.py` and `sse.py` are what those
readers are told, `router.py` the routes. `docs/live.md` says what is guaranteed.
"""
