"""Other words for the same things: read, and never written.

Definitions that come from elsewhere speak of `step_type`, `transitions`, error policies and flat
branches. Before a tree is read as a definition it is rewritten here into the words of the
language; every value keeps the place it was read from, so that diagnostics point into what the
user wrote. The canonical form knows nothing of this. `docs/definitions.md` lists the words.

`nodes` keeps values and places together, `words` renames, `policies` reads what is done about
errors, `flow` turns flat lists of steps and transitions into scopes.
"""

from __future__ import annotations

from typing import Any

from ..diagnostics import Findings
from ..source import Source
from . import flow, policies, words
from .nodes import Node, Rewriting


def rewritten(tree: Any, source: Source, findings: Findings) -> Any:
    """The tree in the words of the language; `source` then tells the places of that tree.

    What cannot be said in them is noted in the findings. Without such words the tree is answered as
    it is.
    """
    root = Node.of(tree, source.places)
    if not isinstance(root.value, dict):
        return tree
    rewriting = Rewriting()
    words.definition(root, rewriting)
    flow.transitions(root, rewriting)
    policies.default(root, rewriting)  # behind the error transitions: they are nearer
    flow.scopes(root, rewriting)
    if not rewriting.changed:
        return tree
    places = root.places()
    source.places.clear()
    source.places.update(places)
    findings.tree = root.plain()
    rewriting.report(root, findings)
    return findings.tree
