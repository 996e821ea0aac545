"""The journal: append-only histories, who owns them, and what may be asked about them.

`protocol.py` is the contract, one conformance suite holds every backend to it: `memory.py` for
tests with the same guarantees minus durability, `sqlite/` as the embedded default. `blobs.py`
keeps large values; `admission.py` and `paging.py` hold what backends share. SQL appears in backends
only. Start reading at `protocol.py`.
"""
