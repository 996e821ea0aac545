"""What the data of a definition does: conditions, types, variables that are read and written.

`solver` talks to the SMT solver, `terms` holds values that are not known yet, `encoding` makes
formulas of expressions, with `comparing`, `arithmetic` and `calls`; `schemas` says what a JSON
Schema promises of a value, `patterns` reads its regular expressions, `fitting` tells by types where
nothing meets it. `places` says what can be read where and who writes it; `consistent`
explores a net and keeps only runs that some data allows. `guards`, `types`, `flow` and `races` ask
the questions, `analysis` answers with verdicts.
"""
