"""What the backends that speak SQL have in common: statements, the rows they read, the protocol.

A statement that both understand stands here once, written with `?` for its values; where their
words differ, it asks the `Dialect` of its connection. What truly differs (how rows travel in bulk,
commits and their unknown outcomes, locks, the tables) stays with the backends. `database.py` says
what a backend brings; `journal.py` is the `Journal` protocol above the rest.
"""
