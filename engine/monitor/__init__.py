"""Watching executions at run time, from their events alone.

*Conformance*: every history is a run of its plan. `Conformance` plays the token game of the plan
(`marking.py`) over the events that an execution commits, and over those that a host reads when it
takes one over. It shares nothing with the kernel's state, so that a mistake of the kernel and a
history that somebody changed are found at the first event that does not fit (`HistoryMisfit`).

*Properties*: what a definition declares is watched by tables of its plan. `automata.py` makes them
of formulas, `engine/plan/monitors.py` of definitions; `kernel/watching.py` reads them.

Pure, as the kernel: no clock, no I/O. Imports the plan and the kernel's events; `restored.py` alone
reads the kernel's state, where a history is not there to be followed.
"""
