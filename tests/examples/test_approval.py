"""Who is asked, for how long, and what becomes of the claim."""

from __future__ import annotations

from datetime import timedelta

from approval import Claim, Verdict, pay, reimburse, tell

from heliostat.testing import Simulation

CLAIM = Claim(employee="ann", manager="bob", amount=80, reason="train")
APPROVE, REJECT = Verdict(verdict="approve"), Verdict(verdict="reject", words="first class")
CORRECT = Verdict(verdict="correct", words="which train?")


def test_the_manager_approves(hs_simulation: Simulation) -> None:
    hs_simulation.person("found_review").answers(APPROVE, after="5h", by="bob")
    hs_simulation.step(pay).returns("paid")
    run = hs_simulation.run(reimburse, CLAIM)
    assert run.result() == "paid"
    assert run.elapsed < timedelta(hours=6)


def test_in_her_absence_finance_does(hs_simulation: Simulation) -> None:
    hs_simulation.person("found_escalated").answers(REJECT, after="1d")
    run = hs_simulation.run(reimburse, CLAIM)
    assert run.result() == "rejected"
    assert run.calls(tell) == [
        {"person": "ann", "words": "your claim is rejected: first class"},
    ]
    assert run.elapsed // timedelta(days=1) == 4


def test_a_corrected_claim_is_the_one_that_is_paid(hs_simulation: Simulation) -> None:
    corrected = CLAIM.model_copy(update={"reason": "train to Graz"})
    hs_simulation.person("found_review").answers(CORRECT).answers(APPROVE)
    hs_simulation.person("correct").answers(corrected, after="2d", by="ann")
    hs_simulation.step(pay).does(lambda claim: claim.reason)
    run = hs_simulation.run(reimburse, CLAIM)
    assert run.result() == "train to Graz"
    assert [task.status for task in run.tasks] == ["Completed"] * 3


def test_three_rounds_are_enough(hs_simulation: Simulation) -> None:
    hs_simulation.person("found_review").answers(CORRECT)
    hs_simulation.person("correct").answers(CLAIM)
    run = hs_simulation.run(reimburse, CLAIM)
    assert run.failure is not None
    assert run.failure.message == "ann and bob should talk"
    assert len(run.tasks) == 6
