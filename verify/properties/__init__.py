"""Properties of definitions, decided on their nets. Start with `soundness.py`."""
