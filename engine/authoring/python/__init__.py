"""Workflows as plain Python functions, compiled into definitions.

A function marked with `@hs.workflow` is never called. Its source becomes a syntax tree
(`source.py`), the tree becomes steps, and the steps become the definition that YAML would give
(`compiler.py`). Of the steps, `lowering.py`, `loops.py` and `errors.py` know statements,
`offered.py`, `calls.py` and `builtin.py` calls, `expressions.py`, `operators.py` and `reading.py`
the rest, `evaluating.py` the order of evaluation; each is a layer above the next. `frame.py` is
what they share, `graph.py` the chain of steps that grows, `joining.py` which assignments share one.
What cannot be compiled is told with file, line, caret and what to write instead (`advice.py`), all
of a function at once. `decorators.py` is what users meet, `intrinsics.py` what they may say beside
Python. `code.py` and `known.py` say what the code of the steps is, and what it is known by.
"""
