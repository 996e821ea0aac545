"""Definitions: how they are written, read, checked and stored.

`model.py` says what a definition is, `loading.py` reads one from YAML or JSON (`yaml12.py`,
`shape.py`) and has it checked (`checks/`), naming every fault with its place (`diagnostics.py`).
`steps.py` is the decorator for activities, `activities.py` looks at the user's functions,
`bundle.py` packs the code beside a definition, `versions.py` is what registration stores. `python/`
makes definitions of functions, `drawing/` makes pictures of definitions.

Imports expressions, `plan.plan` and `plan.compile`; knows no journal, no kernel, no Ray. Start
reading at `model.py`, then `loading.py`.
"""
