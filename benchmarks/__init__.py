"""Measurements of heliostat, each beside raw Ray in the same run. `README.md` defines each one;
`python -m benchmarks` (or `make bench`) runs them. Start reading at `__main__.py`."""
