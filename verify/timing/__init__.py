"""How long executions take: at least, as expected and at most, and which steps it is up to.

`durations` says how long one attempt takes and who says so (`history`: what was measured, `limits`:
deadlines). `bounds` adds it up from the inside out, by `machines`, `dags` and `counters`; `drawing`
draws `runs` for the mean; `slack` finds the critical path. `deadlines` and `within` judge by these,
`timing` puts all of it together, `figures` tells it, `analysis` gives the verdicts.
"""
