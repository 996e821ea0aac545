"""How attempts reach whoever makes them, and how their ends come back.

Start at `protocol.py`, the port a host sees. `dispatcher.py` puts two lanes behind it: `pool.py`
with one `local.py` lane for each warm runner of the node, over Unix-domain sockets whose frames
`frames.py` defines, and `ray_lane.py` to the launcher. `factory.py` says how runners come into
being; `processes.py` does it with plain processes, `heliostat.actors.runner.factory` with Ray.
"""
