"""The client: what a user's process says to the hosts of a deployment, and how it hears of ends.

`client.py` and `handle.py` are what users see. `hosts.py` owns every Ray call to a host,
`inputs.py` makes starts and `starts.py` sends them, `stream.py` hears of ends by the one result
stream of a client, `tasks.py` holds human tasks, `values.py` writes values into blobs and reads
them back. `registration.py` makes ready what is registered, `pinning.py` looks up what it is
registered with, `registrar.py` sends it. `refusals.py` makes errors of refusals. Imports no Ray
until a call is made. Start reading at `client.py`.
"""

from heliostat.actors.client.client import Client, Version
from heliostat.actors.client.handle import Handle
from heliostat.actors.client.tasks import Task

__all__ = ["Client", "Handle", "Task", "Version"]
