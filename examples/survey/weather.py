"""The steps of `survey.yaml`."""

from typing import Any


class ModelUnavailable(Exception):
    """The model has no time for this place."""


def extract(month: int) -> dict[str, int]:
    return {"month": month, "rows": 10 * month, "bad": 1 if month == 2 else 0}


def stations() -> list[str]:
    return ["harbour", "hill", "airport"]


def join(parts: list[dict[str, int]], stations: list[str]) -> dict[str, Any]:
    return {
        "rows": sum(part["rows"] for part in parts),
        "bad": sum(part["bad"] for part in parts),
        "places": stations,
    }


def quarantine(bad: int) -> int:
    return bad


def label(place: str) -> str:
    if place == "hill":
        raise ModelUnavailable(place)
    return f"{place}: windy"


def summary(rows: int) -> str:
    return f"{rows} rows"
