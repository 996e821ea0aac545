"""What a comparison of two versions takes: files and definitions as they are here, registered
versions by the name `id@version`.

Where one side is known only by its definition, as over HTTP, code is not compared, and the answer
says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from heliostat.actors.client.functions import prepare_function
from heliostat.actors.client.interface import Registrable, Version
from heliostat.actors.client.registration import Prepared, prepare
from heliostat.engine.authoring.bundle import hashes_of
from heliostat.engine.authoring.changes import Described, Differences, differences
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.python.decorators import WorkflowFunction
from heliostat.engine.authoring.versions import fixed_of
from heliostat.engine.errors import InputError, NotFound
from heliostat.engine.identity import DEFAULT_NAMESPACE
from heliostat.engine.journal.protocol import BlobStore, DefinitionRow

Comparable: TypeAlias = "Registrable | Version"
"""What can be registered, a `Version`, or `id@version` (`id`: the one registered last)."""


class Name(NamedTuple):
    """A registered version; None: the one registered last."""

    id: str
    version: str | None
    namespace: str | None = None


def diff(before: Comparable, after: Comparable) -> Differences:
    """What changed between two definitions that need no deployment: files, texts, definitions.

    Raises:
        DefinitionError: with every fault of one of them.
        InputError: a registered version is named; `Client.diff` knows those.
    """
    return differences(*(_here(each) for each in (before, after)))


def _here(what: Comparable) -> Described:
    named = name_of(what)
    if named is not None:
        raise InputError(
            f"{what!r} names no file: to compare registered versions, ask a deployment, with "
            f"`connect().diff(…)`"
        )
    return described(what)


def name_of(what: Comparable) -> Name | None:
    """Which registered version is meant; None for what is described here."""
    if isinstance(what, Version):
        return Name(what.id, what.version, what.namespace)
    if not isinstance(what, str) or "\n" in what or what.lstrip().startswith("{"):
        return None
    if Path(what).suffix in (".yaml", ".yml", ".json") or Path(what).exists():
        return None
    id, _, version = what.partition("@")
    return Name(id, version or None)


def described(
    what: Comparable, *, namespace: str = DEFAULT_NAMESPACE, code_path: Sequence[Path] = ()
) -> Described:
    """A definition that is here (see `name_of`), with the code that would be shipped. Raises as
    `prepare`."""
    assert not isinstance(what, Version), "a version is found by its name"
    if isinstance(what, Prepared):
        prepared = what
    elif isinstance(what, WorkflowFunction):
        prepared = prepare_function(what, namespace=namespace, code_path=code_path)
    else:
        prepared = prepare(what, namespace=namespace, code_path=code_path)
    return Described(
        definition=prepared.definition,
        activities=prepared.activities,
        modules=hashes_of(prepared.bundle),
    )


def described_row(row: DefinitionRow, blobs: BlobStore) -> Described:
    """A registered version; its code only where the blob is still there."""
    fixed = fixed_of(row)
    try:
        bundle = b"" if fixed.code is None else blobs.get(fixed.code)
    except NotFound:
        modules = None
    else:
        modules = hashes_of(bundle)
    return Described(
        definition=Definition.model_validate_json(row.body),
        activities=fixed.activities,
        children=fixed.children,
        calendars=fixed.calendars,
        modules=modules,
    )
