"""Puts the parts of a process together: configuration, starting Ray, deployments, `connect()`.

May import `actors`, `verify` and `engine`, never `api`. Nothing here decides what a workflow does.
Start reading at `config.py` (what can be set), then `deployment.py` (up and down), `status.py` and
`connect.py` (clients); `parts.py` makes and asks the actors, `ray_node.py` with `ray_holder.py`
keeps the Ray that a deployment runs on, `ray_connection.py` this process's link to it, `record.py`
what is known of it on disk. `reading.py` reads the journal where no Ray is needed.
"""
