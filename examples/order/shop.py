"""The steps of `order.yaml`."""

from typing import Any


class PaymentDeclined(Exception):
    """The bank says no; asking again would not help."""


def reserve(order: dict[str, Any]) -> str:
    return f"hold-{order['id']}"


def charge(order: dict[str, Any]) -> dict[str, Any]:
    if order["total"] > 5000:
        raise PaymentDeclined(f"{order['total']} is more than the card allows")
    return {"receipt": f"receipt-{order['id']}", "amount": order["total"]}


def ship(order: dict[str, Any], receipt: dict[str, Any]) -> str:
    if order.get("fragile"):
        raise ValueError("no courier takes it")
    return f"parcel-{order['id']} paid with {receipt['receipt']}"


def refund(receipt: dict[str, Any]) -> float:
    return float(receipt["amount"])


def release(hold: str) -> str:
    return hold
