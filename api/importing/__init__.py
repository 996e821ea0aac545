"""Workflows that were written down elsewhere, made into definitions of ours.

`wfformat.py` reads a recorded trace in WfCommons' WfFormat and names all that is wrong with it,
`definition.py` makes a definition of one, `names.py` finds valid names for its steps, `bounds.py`
says how fast a trace could be at best, and `work.py` holds the functions that the steps call.

Pure but for `work.py`: text in, text out. `heliostat import` is the way in. This package is
imported by runners (for `work.py`), so it imports nothing by itself.
"""
