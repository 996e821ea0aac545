"""What goes over the wire: the shapes of requests and answers, with examples.

Requests are validated by these and refuse fields that they do not know. Answers are made in
`rendering.py` and not validated again; that they have these shapes is what the tests hold.
"""
