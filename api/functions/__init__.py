"""Compiled functions where they run: `checkout.run(order)`, `checkout.start(order)`.

`workflow.py` is what `@hs.workflow` makes, `starting.py` a call with its options, `handle.py` an
execution whose result has the annotated type, `local.py` the deployment where none is named. What a
function is without a deployment is `engine/authoring/python/`.
"""
