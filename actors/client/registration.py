"""From a definition, a file or a text to the version that is registered, in the client's process.

Here, never in a host, the user's modules are imported and looked at. What lies beside the file and
the functions given by value are packed into one bundle, so that the version keeps its code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from heliostat.actors.client.pinning import recursions
from heliostat.actors.client.shipping import by_value
from heliostat.engine.authoring.activities import (
    ActivityInfo,
    entry_modules,
    inspected,
    options_of,
)
from heliostat.engine.authoring.bundle import bundle_modules
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.loading import checked, load_definition, parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.steps import ActivityOptions
from heliostat.engine.authoring.versions import (
    RegisteredVersion,
    Stored,
    numbering_after,
    register,
)
from heliostat.engine.calendars import Calendar
from heliostat.engine.errors import InputError
from heliostat.engine.identity import DEFAULT_NAMESPACE
from heliostat.engine.journal.protocol import BlobStore

_CONTENT_CHARS: Final = 10
"""Characters of the content hash in a version's name: enough for one definition's edits."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A definition that passed every check, with the code to ship; nothing is stored yet."""

    definition: Definition
    activities: Mapping[str, ActivityOptions]
    bundle: bytes = field(repr=False)
    functions: Mapping[str, ActivityInfo] = field(default_factory=dict, repr=False)
    """What was seen of the functions that activities name, by the name."""
    code_identity: str | None = None
    """What tells its code from other code; None: the bundle's hash."""
    by_content: bool = False
    """Its version is what the definition says and a hash of its content."""
    warnings: tuple[Diagnostic, ...] | None = None
    """What a proof found that did not keep it out; None: it was not proved."""

    @property
    def id(self) -> str:
        """The definition's id."""
        return self.definition.id

    def stored(
        self,
        blobs: BlobStore,
        *,
        children: Mapping[str, str] | None = None,
        calendars: Mapping[str, Calendar] | None = None,
        before: Stored | None = None,
    ) -> RegisteredVersion:
        """The version to register; its code is in the blob store when this returns.

        Args:
            children: versions of `sub_workflow` steps, by step id, as `pinned_children` answers.
            calendars: as `named_calendars` answers.
            before: the version registered last, whose numbers this one continues.
        """
        definition = self.definition
        code = blobs.put(definition.namespace, self.bundle) if self.bundle else None
        pinned = dict(children or {})
        numbering = None if before is None else numbering_after(before, definition)

        def made(definition: Definition) -> RegisteredVersion:
            return register(
                definition,
                activities=self.activities,
                code=code,
                code_identity=self.code_identity,
                children=pinned,
                calendars=calendars,
                numbering=numbering,
            )

        version = made(definition)
        if not self.by_content:
            return version
        named = named_by(definition, version.content_hash)
        for id in recursions(definition):  # it calls itself by the name it gets
            if id in pinned:
                pinned[id] = named.version
        return made(named)


def prepare(
    what: Definition | Path | str,
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    namespace: str = DEFAULT_NAMESPACE,
    code_path: Sequence[Path] = (),
    dev: bool = False,
) -> Prepared:
    """Load a definition, look at its functions, pack its code.

    Args:
        what: a definition; a path; or a definition's text (a `str` that holds a line break).
        functions: functions to ship by value, by the names that activities say.
        namespace: for a definition that names none.
        code_path: where modules are looked for that do not lie beside the file.
        dev: register as `<version>+<hash>`, so that edits need no new version number.

    Raises:
        DefinitionError: with every fault of the definition, or of the functions it names.
        InputError: the code is too large, or a function cannot be shipped.
    """
    definition, folder = _loaded(what)
    definition = in_namespace(definition, namespace)
    shipped = dict(functions or {})
    places = [*([folder] if folder is not None else []), *code_path]
    seen = inspected(definition, places, registered=shipped, annotated=True)
    activities = options_of(definition, seen)
    pickled = {name: by_value(name, function) for name, function in sorted(shipped.items())}
    modules = entry_modules(definition) if folder is not None else ()
    bundle = b""
    if modules or pickled:
        bundle = bundle_modules(folder or Path(), modules, functions=pickled)
    return Prepared(
        definition=definition,
        activities=activities,
        bundle=bundle,
        functions=seen,
        by_content=dev,
    )


def _loaded(what: Definition | Path | str) -> tuple[Definition, Path | None]:
    """The checked definition, and the folder whose modules it brings along."""
    if isinstance(what, Definition):
        return checked(what), None
    if isinstance(what, str) and ("\n" in what or what.lstrip().startswith("{")):
        return parse_definition(what), None
    return load_definition(what), Path(what).resolve().parent


def named_by(definition: Definition, content_hash: str) -> Definition:
    """The definition with a version that says its content too."""
    name = f"{definition.version}+{content_hash[:_CONTENT_CHARS]}"
    return definition.model_copy(update={"version": name})


def in_namespace(definition: Definition, namespace: str) -> Definition:
    """The definition in the namespace that a caller means.

    Raises:
        InputError: it says another one.
    """
    if definition.namespace == namespace:
        return definition
    if not definition.given("namespace"):
        source = definition.source
        moved = definition.model_copy(update={"namespace": namespace})
        return moved if source is None else moved.with_source(source)
    if namespace == DEFAULT_NAMESPACE:
        return definition
    raise InputError(
        f"definition {definition.id!r} says `namespace: {definition.namespace}`, the caller "
        f"{namespace!r}; remove one of the two"
    )
