"""The execution host: one actor that carries thousands of executions.

`loop.py` is the turn: gather, decide, commit, then act; `host.py` is what clients call. Neither has
ever heard of Ray. Around them, one idea a module: `intake.py` (what waits for a turn),
`execution.py` (an execution in memory), `turn.py` (what gathers for one commit), `commit.py`
(making it durable, whatever the journal says), `ownership.py`, `keeper.py` and `takeover.py` (whose
shards, and what was running), `residency.py` (who is in memory), `timers.py`, `starts.py`,
`cancels.py`, `streams.py` (ends, to clients), `reads.py`, `definitions.py` and `rendering.py` (what
may be asked), `plans.py`, `figures.py`, `bounds.py`, `clock.py`. `api.py` and `questions.py` are
what clients say; `process.py` puts the parts of a real host together.
"""
