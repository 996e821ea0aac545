"""A claim that people decide about: the manager, finance in her absence, and who corrects it."""

from typing import Literal

from pydantic import BaseModel

import heliostat as hs


class Claim(BaseModel):
    employee: str
    manager: str
    amount: float
    reason: str


class Verdict(BaseModel):
    verdict: Literal["approve", "reject", "correct"]
    words: str = ""


@hs.step(retry=hs.Retry(max_attempts=10))
def pay(claim: Claim) -> str:
    return f"{claim.amount:g} to {claim.employee}"


@hs.step
def tell(person: str, words: str) -> None:
    print(f"to {person}: {words}")


@hs.block
def reviewed(claim: Claim) -> Verdict:
    try:
        return hs.human("review", Verdict, show=claim, assignees=[claim.manager], deadline="3d")
    except hs.DeadlineExceeded:
        return hs.human(
            "escalated", Verdict, show=claim, candidates=["group:finance"], deadline="7d"
        )


@hs.workflow
def reimburse(claim: Claim) -> str:
    for _ in range(3):
        found = reviewed(claim)
        if found.verdict == "approve":
            return pay(claim)
        if found.verdict == "reject":
            tell(claim.employee, f"your claim is rejected: {found.words}")
            return "rejected"
        claim = hs.human(
            "correct",
            Claim,
            show={"claim": claim, "asked": found.words},
            assignees=[claim.employee],
            deadline="14d",
        )
    hs.fail("NoAgreement", f"{claim.employee} and {claim.manager} should talk")


if __name__ == "__main__":
    handle = reimburse.start(Claim(employee="ann", manager="bob", amount=80, reason="train"))
    (review,) = handle.tasks()
    review.complete({"verdict": "approve"}, "bob")
    print(handle.result())
