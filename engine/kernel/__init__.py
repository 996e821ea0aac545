"""The kernel: what an execution does next, as a pure function of recorded events.

`decide(plan, state, stimulus)` chooses and reads only its arguments; `apply(plan, state, event)`
books one fact in place; `settle` alternates the two until nothing more follows; `outstanding`
recomputes from a state alone what should be in flight, for recovery. No clock, no randomness, no
I/O, no asyncio, no Ray. Start with `events.py`, then `state.py`, `apply.py`, `decide.py`.
"""
