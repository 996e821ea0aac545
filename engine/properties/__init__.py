"""What a definition declares of its executions, in formulas of CTL or LTL.

`atoms` are what formulas speak of, `ctl` and `ltl` the two logics, `reading` the grammar that both
share. Knows neither definitions nor nets nor histories: the checks of a definition read formulas
here, proofs and monitors ask what they say.
"""
