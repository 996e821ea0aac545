"""From what users write to what goes over the wire: values as JSON, definitions as text.

Tables, arrays and other objects have no JSON. They are refused, not pickled: the door would not
open them. Modules and functions do not travel either: the door takes no code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from heliostat.actors.client.functions import unshipped
from heliostat.actors.client.interface import Registrable
from heliostat.actors.client.registration import Prepared
from heliostat.actors.runner.encoding import UnserializableResult, encode
from heliostat.engine.authoring.canonical import canonical, canonical_body, content
from heliostat.engine.authoring.loading import checked, load_definition, parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.python.decorators import WorkflowFunction
from heliostat.engine.errors import InputError, NotFound
from heliostat.engine.values import Json, Reference, decoder

_unpack: Final = decoder().decode

_DEV_HASH: Final = 10
"""Characters of the content's hash in a development version."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """A definition that passed the checks which need no deployment, as it is sent."""

    name: str
    """Of its file, for messages."""
    definition: Definition
    content: bytes
    content_type: str


def plain(value: Any, what: str) -> Json:
    """A value as JSON.

    Raises:
        InputError: `what`, as "the input", has a part that JSON cannot say.
    """
    try:
        encoded = encode(value, namespace="", blobs=_Nowhere())
    except UnserializableResult as error:
        message = str(error).replace("the result", what).replace("return", "send")
        raise InputError(message) from error
    tree = _unpack(encoded.tree)
    if encoded.outside and (kind := _object_in(tree)) is not None:
        raise InputError(
            f"{what} has a part that is no JSON ({kind}), and over HTTP only JSON travels: send "
            f"where the data is, or connect within the cluster, with `heliostat.connect()`"
        )
    return tree


def text_of(what: Registrable, *, namespace: str, dev: bool) -> Text:
    """A definition as it is sent; checked here, so that every fault has its place in the file.

    Raises:
        DefinitionError: with every fault that can be seen without a deployment.
        InputError: it is in another namespace, or brings code.
    """
    if isinstance(what, Prepared):
        what = what.definition
    elif isinstance(what, WorkflowFunction):
        what = unshipped(what)
    name = "the definition"
    source: bytes | None = None
    if isinstance(what, Definition):
        definition = checked(what)
    elif isinstance(what, str) and ("\n" in what or what.lstrip().startswith("{")):
        definition, source = parse_definition(what), what.encode()
    else:
        path = Path(what)
        definition, name = load_definition(path), path.name
        source = path.read_bytes()
    definition, moved = _placed(definition, namespace)
    if dev or moved or source is None:
        if dev:
            hash_ = hashlib.sha256(canonical(content(definition))).hexdigest()[:_DEV_HASH]
            fields = {"version": f"{definition.version}+{hash_}"}
            definition = definition.model_copy(update=fields)
        source = canonical_body(definition)
    json = source.lstrip()[:1] == b"{"
    return Text(
        name=name,
        definition=definition,
        content=source,
        content_type="application/json" if json else "application/yaml",
    )


def _placed(definition: Definition, namespace: str) -> tuple[Definition, bool]:
    """The definition, and whether it says another namespace than it is to be in."""
    if definition.namespace == namespace or not definition.given("namespace"):
        return definition.model_copy(update={"namespace": namespace}), False
    if namespace == "default":
        return definition, False
    raise InputError(
        f"definition {definition.id!r} says `namespace: {definition.namespace}`, the caller "
        f"{namespace!r}; remove one of the two"
    )


def _object_in(tree: Any) -> str | None:
    """What kind of object a value holds that is no JSON."""
    if isinstance(tree, Reference):
        return tree.encoding
    parts: Any = ()
    if isinstance(tree, Mapping):
        parts = tree.values()
    elif isinstance(tree, list | tuple):
        parts = tree
    return next((kind for kind in map(_object_in, parts) if kind is not None), None)


class _Nowhere:
    """Takes what would be a blob, and keeps nothing: JSON is sent whole, and objects not at all."""

    def put(self, namespace: str, content: bytes) -> str:
        return "nowhere/0"

    def get(self, name: str) -> bytes:
        raise NotFound("blob", name)

    def exists(self, name: str) -> bool:
        return False

    def aged(self, *, older_than_s: float) -> Iterator[Sequence[str]]:
        return iter(())

    def delete(self, names: Sequence[str], *, older_than_s: float) -> int:
        return 0
