"""The client over HTTP: the same `Client`, `Handle` and `Task`, made of a connection to the door.

`connecting.py` is where `heliostat.connect` begins. `connection.py` is the connection, with its
parts `definitions.py` and `people.py` on top of `asking.py`: each method is one request or a few.
`sender.py` sends requests and repeats them, `unreached.py` says why nobody answers, `refusals.py`
makes errors of answers, `reading.py` and `writing.py` turn what is on the wire into what clients
hold and back, `ends.py` waits for ends, `following.py` follows executions over the live socket.

Nothing here imports Ray.
"""
