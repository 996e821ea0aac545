"""The HTTP door on Ray Serve: replicas that run the application, behind Serve's proxy.

Start reading at `app.py` (what a replica is, and `build` for deployment files), then `door.py`
(starting and ending it beside a deployment), `attached.py` (a replica's way to the deployment),
`proxy.py` (what the fast proxy needs before Ray starts) and `haproxy.py` (how it is kept to the
loopback interface).
"""
