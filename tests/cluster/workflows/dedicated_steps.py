"""Steps of dedicated executions: each leaves a line in a file, so that what ran twice is seen."""

import time
from pathlib import Path


def note(folder: str, name: str, seconds: float = 0.0) -> str:
    """Leave a line, and take a while."""
    with (Path(folder) / "ledger").open("a", encoding="utf-8") as ledger:
        ledger.write(f"{name}\n")
    time.sleep(seconds)
    return name
