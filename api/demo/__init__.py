"""The demonstration: `heliostat demo` (or `make demo`).

`tour.py` tells the story, `flights.yaml` and `chain.yaml` are the workflows, `etl.py` has their
steps, `ledger.py` reads what the steps wrote down. It uses nothing but the public client.
"""
