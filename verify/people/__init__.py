"""Whether one person may do what different people have to do. Start: `analysis.py`."""
