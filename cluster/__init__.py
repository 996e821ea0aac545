"""Puts the parts of a process together: configuration, starting Ray, deployments, `connect()`.

May import `actors`, `verify` and `engine`, never `api`. Nothing here decides what a workflow does.
Start reading at `config.py` (what can be set), then `deployment.py` (up, down, status) and
`connect.py` (clients); `ray_node.py` keeps the Ray that a deployment runs on.
"""
