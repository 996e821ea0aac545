"""What the samples of other engines do, as plain functions: each is simulated by its test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel

import heliostat as hs


@dataclass
class Transfer:
    source: str
    target: str
    amount: int
    reference: str


class InvalidAccount(Exception): ...


class InsufficientFunds(Exception): ...


RETRY = hs.Retry(max_attempts=3, max="2s", never_on=[InvalidAccount, InsufficientFunds])


@hs.step(timeout="5s", retry=RETRY)
def withdraw(data: Transfer) -> str:
    raise NotImplementedError


@hs.step(timeout="5s", retry=RETRY)
def deposit(data: Transfer) -> str:
    raise NotImplementedError


@hs.step(timeout="5s", retry=RETRY)
def refund(data: Transfer) -> str:
    raise NotImplementedError


@hs.workflow
def transfer(data: Transfer) -> str:
    taken = withdraw(data)
    try:
        given = deposit(data)
        return f"{taken}, {given}"
    except Exception as failed:
        try:
            back = refund(data)
        except Exception as worse:
            raise RuntimeError(f"deposit: {failed}; refund: {worse}") from worse
        raise RuntimeError(f"deposit failed, {back}") from failed


class Customer(BaseModel):
    id: str
    trial_days: int = 30
    amount: float = 10.0
    periods: int = 12


@hs.step
def mail(customer: Customer, what: str) -> None: ...
@hs.step
def bill(customer: Customer, amount: float) -> None: ...


@hs.workflow
def subscription(customer: Customer) -> float:
    mail.using(id="welcome")(customer, "welcome")
    amount, total = customer.amount, 0.0
    trial = hs.wait(
        cancel=hs.on_signal("cancel"), over=hs.after(timedelta(days=customer.trial_days))
    )
    if trial.name == "cancel":
        mail.using(id="sorry")(customer, "sorry to see you go")
        return total
    for period in range(customer.periods):
        bill(customer, amount)
        total += amount
        while True:
            won = hs.wait(
                cancel=hs.on_signal("cancel"), change=hs.on_signal("amount"), month=hs.after("30d")
            )
            if won.name == "cancel":
                mail.using(id="bye")(customer, f"bye after {period + 1}")
                return total
            if won.name == "month":
                break
            amount = won.data
    return total


@hs.step(retry=hs.Retry(max_attempts=4, initial="10s"))
def list_repos(user: str) -> list[str]:
    raise NotImplementedError


@hs.step(retry=hs.Retry(max_attempts=4))
def stars(repo: str) -> int:
    raise NotImplementedError


@hs.step
def report(lines: list[str]) -> None: ...


@hs.workflow
def github_stars(user: str, at_least: int = 10) -> dict[str, int]:
    repos = list_repos(user)
    counts = hs.map((stars(repo) for repo in repos), concurrency=5)
    found = {repo: count for repo, count in zip(repos, counts, strict=False) if count >= at_least}
    if not found:
        return {}
    best = max(found.values())
    report([f"{repo}: {count:,}{' *' if count == best else ''}" for repo, count in found.items()])
    return found


class Day(BaseModel):
    date: str
    rows: int
    full: bool = False


@hs.step
def extract(date: str) -> Day:
    raise NotImplementedError


@hs.step
def full_load(day: Day) -> int:
    raise NotImplementedError


@hs.step
def increment(day: Day, since: str | None = None) -> int:
    raise NotImplementedError


@hs.step
def check(rows: int) -> bool:
    raise NotImplementedError


@hs.step
def notify(words: str) -> None: ...


@hs.block
def load(day: Day) -> int:
    rows = full_load(day) if day.full or day.rows > 1_000_000 else increment(day)
    if not check(rows):
        raise ValueError(f"{day.date}: {rows} rows do not add up")
    return rows


@hs.workflow(deadline="6h")
def nightly(dates: list[str]) -> int:
    days = hs.map(extract(date) for date in dates)
    try:
        rows = hs.map((load(day) for day in days), concurrency=2)
    except ValueError as error:
        notify(f"nightly failed: {error}")
        raise
    finally:
        notify.using(id="over")("nightly is over")
    return sum(rows)


@hs.step
def reserve(cart: list[str]) -> bool:
    raise NotImplementedError


@hs.step
def unreserve(cart: list[str]) -> None: ...
@hs.step
def payment_link(cart: list[str], key: str) -> str:
    raise NotImplementedError


@hs.step
def dispatch(cart: list[str]) -> str:
    raise NotImplementedError


@hs.workflow
def checkout(cart: list[str]) -> str:
    if not reserve(cart):
        hs.publish("checkout.status", {"status": "out of stock"})
        return "out of stock"
    url = payment_link(cart, hs.uuid())
    hs.publish("checkout.status", {"status": "pending", "url": url})
    paid = hs.wait(payment=hs.on_signal("payment"), late=hs.after("10m"))
    if paid.name == "late" or paid.data["status"] != "paid":
        unreserve(cart)
        return "canceled"
    return dispatch(cart)


@hs.step
def submit(job: dict[str, Any]) -> str:
    raise NotImplementedError


@hs.step
def status(job_id: str) -> Literal["SUCCEEDED", "FAILED", "RUNNING"]:
    raise NotImplementedError


@hs.step
def thumbnail(key: str, size: int) -> str:
    raise NotImplementedError


@hs.step
def labels(key: str) -> list[dict[str, float]]:
    raise NotImplementedError


@hs.block
def job(of: dict[str, Any], every: int) -> str:
    job_id = submit(of)
    while True:
        hs.sleep(timedelta(seconds=every))
        state = status(job_id)
        if state == "SUCCEEDED":
            return job_id
        if state == "FAILED":
            hs.fail("JobFailed", job_id)


@hs.workflow
def photo(key: str) -> dict[str, Any]:
    done, found, small = hs.parallel(job({"key": key}, 30), labels(key), thumbnail(key, 128))
    return {
        "job": done,
        "labels": [each["confidence"] for each in found if each["confidence"] > 0.9],
        "thumbnail": small,
    }


class User(BaseModel):
    name: str
    email: str


@hs.step
def create_user(user: User) -> str:
    raise NotImplementedError


@hs.step
def send_link(user: User, secret: str) -> None: ...
@hs.step
def delete_user(id: str) -> None: ...


@hs.workflow
def signup(user: User) -> bool:
    id, secret = create_user(user), hs.uuid()
    for _ in range(3):
        send_link.using(id="send")(user, secret)
        clicked = hs.wait(
            right=hs.on_event("link.clicked", where=hs.event.data.secret == secret),
            late=hs.after("1d"),
        )
        if clicked.name == "right":
            return True
    else:
        delete_user(id)
    return False


class Trip(BaseModel):
    flight: str
    car: str
    hotel: str


@hs.step
def book(kind: str, what: str) -> str:
    raise NotImplementedError


@hs.step
def cancel(kind: str, booking: str) -> None: ...


@hs.workflow
def journey(trip: Trip) -> list[str]:
    done: list[list[str]] = []
    try:
        for kind, what in [("flight", trip.flight), ("car", trip.car), ("hotel", trip.hotel)]:
            booking = book(kind, what)
            done.append([kind, booking])
    except Exception:
        for kind, booking in reversed(done):
            cancel(kind, booking)
        raise
    return [booking for _, booking in done]


class Page(BaseModel):
    items: list[str]
    next: str | None


@hs.step
def page(token: str | None) -> Page:
    raise NotImplementedError


@hs.step
def handle(item: str) -> bool:
    raise NotImplementedError


@hs.workflow
def pages() -> int:
    token: str | None = None
    count = 0
    while True:
        found = page(token)
        done = hs.map((handle(item) for item in found.items), concurrency=10, completion="all_done")
        count += len([each for each in done if each])
        token = found.next
        if token is None:
            return count


class Status(StrEnum):
    ORDERED = "ordered"
    COOKED = "cooked"
    DELIVERED = "delivered"


@hs.step
def charge(order: dict[str, Any]) -> str:
    raise NotImplementedError


@hs.workflow
def delivery(order: dict[str, Any]) -> Status:
    charge(order)
    state = Status.ORDERED
    for wanted in (Status.COOKED, Status.DELIVERED):
        came = hs.wait(
            it=hs.on_signal("status", where=hs.event.data == wanted), late=hs.after("1h")
        )
        if came.name == "late":
            hs.fail("TooLate", f"still {state}")
        state = wanted
    return state


@hs.step
def split(path: str, parts: int) -> list[str]:
    raise NotImplementedError


@hs.step(num_cpus=2)
def encode(chunk: str, quality: str) -> str:
    raise NotImplementedError


@hs.step
def join(chunks: list[str]) -> str:
    raise NotImplementedError


@hs.workflow
def video(path: str) -> dict[str, str]:
    chunks = split(path, parts=8)
    done: dict[str, str] = {}
    for quality in ("480p", "1080p"):
        encoded = hs.map((encode(chunk, quality) for chunk in chunks), concurrency=4)
        done = {**done, quality: join(encoded)}
    return done


class Flaky(Exception): ...


@hs.step
def call_api(n: int) -> dict[str, Any] | None:
    raise NotImplementedError


@hs.workflow
def by_hand(n: int) -> str:
    tries = 0
    while tries < 5:
        try:
            reply = call_api(n)
            if reply is None or not reply.get("ok", False):
                raise Flaky("not ok")
            break
        except (Flaky, TimeoutError):
            tries += 1
            if tries == 5:
                raise
            hs.sleep(timedelta(seconds=2**tries))
    else:
        return "never"
    return str(reply["value"])
