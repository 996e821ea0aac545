"""Plans: the compiled, immutable form of a definition's version.

The kernel runs plans, proofs read plans, pages draw plans. `plan.py` says what a plan is,
`numbering.py` fixes the numbers that events speak in, `compile.py` makes a plan from a definition.
A plan knows no YAML and no positions in files; start reading at `plan.py`.
"""
