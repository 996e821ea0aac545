"""Proofs about definitions before they run: deadlocks, livelocks, dead steps, boundedness.

    report = verify(plan)
    report.sound, report.about("deadlock").run

`nets` holds Petri nets and how plans become them, `reading` makes nets of PNML and BPMN,
`structure` reduces nets and weighs their places, `space` explores them, `properties` decides and
explains, `logic` checks formulas in CTL and LTL, `certificates` holds what verdicts rest on and an
independent checker, `resources` asks what steps take and give back, `timing` how long executions
take, `across` what definitions do to one another, `recovery` what is undone, `people` who may do
what, `data` what conditions and variables come to, `reports` tells it to people and programs.
`migration` says where executions of one version could not go on with another. `prover` is what
registration asks, `replaying` has the simulator get stuck as a proof says. `cases`
makes tests of a definition, and `reference` reads definitions a second time, without the kernel, to
say what they must come to.

Imports the definition, the plan, the kernel's events and the simulator of `heliostat.engine`,
neither Ray nor `heliostat.actors`; answers with a run of the user's own steps, or "inconclusive"
with the bound that was reached.
"""
