"""The client: what a user's process says to the hosts of a deployment, and how it hears of ends.

`interface.py` says what a connection to a deployment can do, whatever carries it. `client.py` with
`definitions.py` and `people.py`, `handle.py` and `tasks.py` are what users see: faces of any
connection, blocking and asynchronous. `ray_connection.py` is the connection by Ray calls,
`opening.py` puts it together, `waiting.py` says how its calls are waited for. `hosts.py` owns every
Ray call to a host, `routes.py` knows which of them has what, `nodes.py` takes a node out,
`inputs.py` makes starts and `starts.py` sends them, `stream.py` hears of ends by the one result
stream of a client, `following.py` of events, `values.py` writes values into blobs and reads them
back. `registration.py` makes ready what is registered, `pinning.py` looks up what it is registered
with, `registrar.py` sends it. `refusals.py` makes errors of refusals and failures. Imports no Ray
until a call is made. Start reading at `interface.py`.
"""

from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle
from heliostat.actors.client.interface import Connection, Version
from heliostat.actors.client.tasks import Task

__all__ = ["Client", "Connection", "Handle", "Task", "Version"]
