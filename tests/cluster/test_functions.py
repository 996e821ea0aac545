"""Compiled functions on a real Ray: run, failed, edited while executions of them are under way."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.api.functions import local
from heliostat.engine.errors import Duplicate, ExecutionCanceled, ExecutionFailed, InputError
from tests.cluster.conftest import Place

BOUND_S = 120.0

SHOP = """
import time
from dataclasses import dataclass
from pydantic import BaseModel
import heliostat as hs
from shop_prices import double


class Order(BaseModel):
    id: str
    total: float
    lines: list[str] = []


class Declined(Exception): ...


@hs.step(retry=hs.Retry(max_attempts=1))
def charge(order: Order) -> float:
    if order.total > 1_000:
        raise Declined(f"no money for {order.id}")
    return double(order.total)


@hs.step
def pack(line: str, seconds: float = 0.0) -> str:
    time.sleep(seconds)
    return f"[{line}]"


@hs.block
def careful(order: Order) -> float:
    try:
        return charge(order)
    except Declined as error:
        hs.publish("order.declined", str(error))
        return 0.0


@hs.workflow
def parcel(line: str) -> str:
    return pack(line)


@hs.workflow
def checkout(order: Order, express: bool = False) -> list[str]:
    paid, header = hs.parallel(careful(order), pack("header"))
    if not paid:
        return []
    parcels = hs.map((parcel(line) for line in order.lines), concurrency=4)
    bill = [header]
    for each in parcels:
        bill.append(each if express else each.lower())
    return bill


@hs.workflow
def strict(order: Order) -> Order:
    paid = charge(order)
    return Order(id=order.id, total=paid)


@hs.workflow
def asked(order: Order) -> str:
    hs.wait(go=hs.on_signal("go"))
    return pack(order.id)


@dataclass
class Receipt:
    id: str
    amount: float


def by_factor(factor: int):
    @hs.step
    def times(order: Order) -> Receipt:
        return Receipt(order.id, order.total * factor)

    @hs.workflow
    def sold(order: Order) -> Receipt:
        return times(order)

    return sold


@hs.workflow
def slow(count: int) -> list[str]:
    packed: list[str] = []
    for number in range(count):
        packed.append(pack(str(number), 0.2))
    return packed
"""
PRICES = "def double(n: float) -> float:\n    return n * 2\n"

Read = Callable[..., Any]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Imports the shop from a text, as a process does that was started after an edit."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def read(shop: str = SHOP) -> Any:
        (tmp_path / "shop_of_functions.py").write_text(shop)
        (tmp_path / "shop_prices.py").write_text(PRICES)
        for name in ("shop_of_functions", "shop_prices"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return importlib.import_module("shop_of_functions")

    return read


@pytest.fixture
def default(deployment: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Calls that name no client find the session's deployment."""
    for name, value in deployment.environment().items():
        if name.startswith("HELIOSTAT_"):
            monkeypatch.setenv(name, value)
    yield
    local.local_client().close()


class TestRunning:
    def test_a_call_returns_what_the_function_says(self, read: Read, client: Client) -> None:
        shop = read()
        order = shop.Order(id="o", total=5, lines=["A", "B"])
        on = shop.checkout.options(client=client)
        assert on.run(order) == ["[header]", "[a]", "[b]"]
        assert on.run(order, express=True) == ["[header]", "[A]", "[B]"]
        assert on.run(shop.Order(id="p", total=5_000)) == []
        assert shop.strict.options(client=client).run(order) == shop.Order(id="o", total=10)

    @pytest.mark.usefixtures("default")
    async def test_without_a_client_it_is_the_default_deployment(self, read: Read) -> None:
        shop = read()
        order = shop.Order(id="o", total=5)
        assert await shop.strict.run_async(order) == shop.Order(id="o", total=10)
        handle = await shop.strict.start_async(order)
        assert (await handle.result_async(BOUND_S)).total == 10
        assert handle.status().status == "Completed"

    def test_the_same_id_is_the_same_start(self, read: Read, client: Client) -> None:
        shop = read()
        on = shop.strict.options(client=client, id="strict-1", priority=8, tags={"shop": "north"})
        first = on.start(shop.Order(id="o", total=5))
        again = on.start(shop.Order(id="o", total=5))
        assert first.id == again.id == "strict-1"
        assert again.result(BOUND_S) == shop.Order(id="o", total=10)
        status = first.status()
        assert (status.priority, status.tags) == (8, {"shop": "north"})
        with pytest.raises(Duplicate, match="strict-1"):
            on.start(shop.Order(id="o", total=6))

    def test_steps_within_a_function_travel_by_value(self, read: Read, client: Client) -> None:
        shop = read()
        sold = shop.by_factor(3).options(client=client).run(shop.Order(id="o", total=4))
        assert sold == shop.Receipt("o", 12)

    def test_registering_again_is_harmless_and_starts_by_its_id(
        self, read: Read, client: Client
    ) -> None:
        first = client.register(read().checkout)
        again = client.register(read("# moved\n" + SHOP).checkout)
        assert again.existed
        assert again.version == first.version
        order = {"id": "o", "total": 1, "lines": []}
        assert client.start("checkout", {"order": order}).result(BOUND_S) == ["[header]"]
        with pytest.raises(InputError, match="lines"):
            client.start("checkout", {"order": {"id": "o", "total": 1}}).result(BOUND_S)


class TestFailures:
    def test_a_failure_says_its_line(self, read: Read, client: Client) -> None:
        shop = read()
        with pytest.raises(ExecutionFailed, match=r"'paid' .*: Declined: no money for o") as raised:
            shop.strict.options(client=client).run(shop.Order(id="o", total=5_000))
        assert raised.value.failure["type"] == "Declined"
        shown = "".join(traceback.format_exception(raised.value))
        line = SHOP.splitlines().index("    paid = charge(order)") + 1
        assert f'shop_of_functions.py", line {line}, in strict\n  paid = charge(order)' in shown
        assert 'File "shop_of_functions.py", line 21, in charge' in shown
        assert 'raise Declined(f"no money for {order.id}")' in shown

    def test_what_is_cancelled_raises_that(self, read: Read, client: Client) -> None:
        shop = read()
        handle = shop.asked.options(client=client).start(shop.Order(id="o", total=1))
        handle.cancel()
        with pytest.raises(ExecutionCanceled):
            handle.result(BOUND_S)


class TestEdits:
    """An edit is another version; what has begun stays on its own, with its code."""

    def test_what_is_under_way_ends_with_the_old_code(self, read: Read, client: Client) -> None:
        shop = read()
        order = shop.Order(id="o", total=1)
        old = shop.asked.options(client=client).start(order)
        edited = read(SHOP.replace('f"[{line}]"', 'f"<{line}>"'))
        new = edited.asked.options(client=client).start(order)
        assert old.status().version != new.status().version
        for handle in (new, old):
            handle.signal("go")
        assert (old.result(BOUND_S), new.result(BOUND_S)) == ("[o]", "<o>")

    def test_a_retry_goes_on_with_the_old_code(self, read: Read, client: Client) -> None:
        shop = read(SHOP.replace("if order.total > 1_000:", "if hs.current().attempt == 1:"))
        order = shop.Order(id="o", total=5_000)
        old = shop.strict.options(client=client).start(order)
        with pytest.raises(ExecutionFailed, match="Declined"):
            old.result(BOUND_S)
        edited = read(SHOP.replace("order.total > 1_000", "False").replace("double(", "abs("))
        assert edited.strict.options(client=client).run(order).total == 5_000
        old.retry()
        assert old.result(BOUND_S).total == 10_000


@pytest.mark.long
def test_a_host_that_is_killed_changes_nothing(read: Read, client: Client) -> None:
    shop = read()
    handles = [shop.slow.options(client=client).start(6) for _ in range(6)]
    for told in handles[0].follow():
        if isinstance(told, dict) and told["type"] == "step.completed" and told["seq"] > 10:
            break
    (host,) = client.info()["hosts"]
    os.kill(host["pid"], signal.SIGKILL)
    for handle in handles:
        assert handle.result(BOUND_S) == [f"[{number}]" for number in range(6)]
