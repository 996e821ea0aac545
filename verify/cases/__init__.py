"""Cases for tests: searched in the simulator, predicted by a second reading, told with coverage.

    cases = cases_of(definition)
    [case.name for case in cases.cases], cases.uncovered

`goals` says what is to be covered, `observing` what a run covers. `flows` follows conditions to
the values that they hang on, `samples` has values, `worlds` puts them together to what a simulation
is given, `search` runs worlds until nothing new is reached. `choosing` keeps few and makes them
simple, `expecting` says what they must come to, `unreached` why something is left; `reports` and
`modules` write it down.
"""
