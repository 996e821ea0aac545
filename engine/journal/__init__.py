"""The journal: append-only histories, who owns them, and what may be asked about them.

`protocol.py` is the contract, `records.py` what it speaks of. One conformance suite holds every
backend to it: `memory.py` for tests with the same guarantees minus durability, `sqlite/` as the
embedded default, `postgres/` for several hosts; `sql/` has what the latter two share. `blobs.py`
keeps large values; `admission.py` and `paging.py` hold what all backends share. SQL appears in
these folders only. Start reading at `protocol.py`.
"""
