"""The execution host: one actor that carries thousands of executions.

`loop.py` is the turn: gather (`gathering.py`), decide (`deciding.py`), commit, then act
(`aftermath.py`); `host.py` is the life of a host, `calls.py` what clients call, `describing.py` how
it says it is. None has ever heard of Ray. Around them, one idea a module: `intake.py` (what waits
for a turn), `execution.py` (an execution in memory), `turn.py` (what gathers for one commit),
`commit.py` (making it durable, whatever the journal says), `ownership.py`, `keeper.py` and
`takeover.py` (whose shards, and what was running), `residency.py` (who is in memory), `timers.py`,
`starts.py`, `requests.py`, `streams.py` (ends, to clients), `following.py` (events, to those who
follow), `reads.py`, `definitions.py` and `rendering.py` (what may be asked), `plans.py`,
`figures.py`, `bounds.py`, `clock.py`. `api.py` and `questions.py` are what clients say;
`process.py` puts the parts of a real host together.
"""
