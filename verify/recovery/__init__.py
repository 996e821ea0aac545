"""Whether what must be undone where an execution fails is undone. Start: `analysis.py`."""
