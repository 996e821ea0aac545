"""The execution host: one actor that carries thousands of executions.

`host.py` is the turn: gather, decide, commit, then act; it has never heard of Ray. Around it, one
idea a module: `execution.py` (an execution in memory), `turn.py` (what gathers for one commit),
`commit.py` (making it durable, whatever the journal says), `ownership.py` and `takeover.py` (whose
shards, and what was running), `residency.py` (who is in memory), `timers.py`, `starts.py`,
`cancels.py`, `streams.py` (ends, to clients), `reads.py` and `rendering.py` (what may be asked),
`plans.py`. `api.py` and `questions.py` are what clients say; `process.py` puts the parts together.
"""
