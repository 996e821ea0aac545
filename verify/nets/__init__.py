"""Petri nets, and how a plan becomes one. Start with `net.py`; `translation.py` makes nets."""
