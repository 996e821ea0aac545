"""The scheduler's process: one actor that decides who gets capacity, on every node.

The rules are pure and in `engine/scheduling/`. `scheduler.py` hears demands, looks at the nodes and
lets time pass; `ray_view.py` asks Ray; `process.py` puts both together; `view.py` is what people
are shown. Hosts speak to it through `actors/dispatch/placement_scheduler.py`. It stays off the path
of tiny steps, and whatever it knows can be learnt again.
"""
