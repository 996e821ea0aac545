"""The HTTP door: a FastAPI application over a connection to a deployment.

Start reading at `app.py`, which puts it together. A request passes `guards.py` (who may ask),
`asking.py` (what is asked: namespace, query, body, each bounded), one of `routes/` (one call of the
connection), and `rendering.py` (what is answered); whatever is raised on the way becomes an answer
in `errors.py`. `lingering.py` reads on where a body is too large, so that its sender hears the
answer. Single starts are gathered into few calls by `gathering.py`.

What goes over the wire has its shape in `models/`, from which the OpenAPI document is made, and
nowhere else; docs/http.md is the page for those who call it.
"""
