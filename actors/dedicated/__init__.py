"""Dedicated executions: one execution, one detached actor.

`isolation: dedicated` gives an execution a shard of its own, and an actor that owns this shard and
nothing else. It is the same `ExecutionHost` with another `Ownership`; docs/decisions/
0011-a-dedicated-execution-is-a-shard.md says how its start becomes durable once, and who sees to it
that its actor exists.

Start reading at `guard.py` (on hosts), then `ownership.py` and `process.py` (in the actor).
`remote_journal.py` is how an actor appends where only one process may write.
"""
