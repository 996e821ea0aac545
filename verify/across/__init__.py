"""What definitions do to one another: who waits for whom, who starts whom. Start: `analysis.py`."""
