"""Proofs about definitions before they run: soundness, deadlocks, guards, data flow, time.

Nothing is built here yet; the package keeps the place and its direction. What comes may import the
definition, the plan and the simulator of `heliostat.engine`, neither Ray nor `heliostat.actors`,
and answers with a run of the user's own steps, or "inconclusive" with the bound that was reached.
"""
