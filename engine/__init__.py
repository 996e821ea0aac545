"""What a workflow means and what is remembered of it, without Ray and without a process of its own.

Definitions, expressions, plans, the kernel that decides, the journal that remembers, the simulator
that tries it all under faults. Imports nothing of ours from above and never Ray; within the folder
the kernel imports neither the journal nor anything that waits, reads a clock or draws a random
number. Start reading at `kernel/events.py`, the vocabulary, then `kernel/decide.py`.
"""
