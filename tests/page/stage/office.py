"""The functions of `claims.yaml`: they take a little time, print something, and sometimes fail."""

import hashlib
import sys
import time
from typing import Any

import heliostat as hs


class Busy(Exception):
    """A system that somebody else is using."""


class AccountClosed(Exception):
    """The payee's bank sends the money back."""


def _chance(*what: Any) -> float:
    """The same for the same things, between 0 and 1: what fails here fails in each run."""
    digest = hashlib.sha256(repr(what).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def _work(pace: float | None, share: float) -> None:
    time.sleep((pace or 0.0) * share)


def intake(claim: str, pace: float | None = None) -> dict[str, Any]:
    print(f"claim {claim} arrived by post")
    _work(pace, 0.5)
    return {"claim": claim, "channel": "post", "opened": True}


def fetch(document: str, pace: float | None = None) -> str:
    print(f"GET archive/{document}")
    _work(pace, 0.3 + _chance(document))
    if "lost" in document:
        print("404 Not Found", file=sys.stderr)
        raise FileNotFoundError(f"no document {document!r} in the archive")
    if hs.current().attempt == 1 and _chance("busy", document) < 0.15:
        raise Busy("the archive is busy")
    return f"{document}: damage to the left door, 1,240.00"


def read(text: str, pace: float | None = None) -> dict[str, Any]:
    _work(pace, 0.5 + 1.5 * _chance("read", text))
    return {"text": text, "kind": "photo" if "photo" in text else "letter", "pages": 2}


def look(page: dict[str, Any], pace: float | None = None) -> dict[str, Any]:
    _work(pace, 1.5)
    return {"shows": ["door", "scratch"], "sharp": True}


def index(page: dict[str, Any]) -> str:
    return hashlib.sha256(page["text"].encode()).hexdigest()[:12]


def history(claim: str, pace: float | None = None) -> dict[str, Any]:
    _work(pace, 1.2)
    return {"claims": 2, "since": "2019-04-02"}


def network(claim: str, pace: float | None = None) -> dict[str, Any]:
    _work(pace, 2.4)
    return {"links": 1}


def score(history: dict[str, Any], network: dict[str, Any]) -> float:
    print("weights: history 0.3, network 0.7")
    return 0.12


def lookup(claim: str, pace: float | None = None) -> dict[str, Any]:
    print(f"connecting to policies, attempt {hs.current().attempt}")
    _work(pace, 0.6)
    if hs.current().attempt < 3:
        print("mainframe: all terminals in use", file=sys.stderr)
        raise Busy("all terminals of the mainframe are in use")
    return {"policy": "P-2231", "class": "casco"}


def quote(number: int, pace: float | None = None) -> dict[str, Any]:
    _work(pace, 0.4 + _chance("quote", number))
    if number == 7:
        raise Busy("garage 7 does not answer")
    return {"garage": number, "euros": 900 + 37 * number}


def pay(claim: str, amount: float, pace: float | None = None) -> dict[str, Any]:
    print(f"transfer of {amount} for {claim}")
    _work(pace, 1.0)
    if "closed" in claim:
        raise AccountClosed(f"the account of {claim} was closed")
    return {"amount": amount, "receipt": hashlib.sha256(claim.encode()).hexdigest()[:10]}


def refuse(claim: str) -> dict[str, Any]:
    return {"refused": claim}


def letter(claim: str, paid: dict[str, Any] | None = None) -> str:
    print(f"letter for {claim} is in the outbox")
    return f"letter-{claim}"
