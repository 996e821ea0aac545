"""The outside: the command line, HTTP with WebSocket and SSE on Ray Serve, the browser's view.

Handlers parse, make one call and serialise; they hold no rule about workflows. May import every
other package of ours and is imported by none. Start reading at `cli.py`, the shortest way from a
user's words to a call.
"""
