"""From a definition, a file or a text to the version that is registered, in the client's process.

Here, never in a host, the user's modules are imported and looked at. What lies beside the file and
the functions given by value are packed into one bundle, so that the version keeps its code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from heliostat.actors.client.pinning import recursions
from heliostat.engine.authoring import Definition, checked, load_definition, parse_definition
from heliostat.engine.authoring.activities import check_activities, entry_modules
from heliostat.engine.authoring.bundle import bundle_modules
from heliostat.engine.authoring.steps import ActivityOptions, Step
from heliostat.engine.authoring.versions import RegisteredVersion, register
from heliostat.engine.calendars import Calendar
from heliostat.engine.errors import InputError
from heliostat.engine.identity import DEFAULT_NAMESPACE
from heliostat.engine.journal.protocol import BlobStore

_DEV_HASH: Final = 10
"""Characters of the content hash in a development version: enough for one person's edits."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A definition that passed every check, with the code to ship; nothing is stored yet."""

    definition: Definition
    activities: Mapping[str, ActivityOptions]
    bundle: bytes = field(repr=False)
    dev: bool = False

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
    ) -> RegisteredVersion:
        """The version to register; its code is in the blob store when this returns.

        Args:
            children: versions of `sub_workflow` steps, by step id, as `pinned_children` answers.
            calendars: as `named_calendars` answers.
        """
        definition = self.definition
        code = blobs.put(definition.namespace, self.bundle) if self.bundle else None
        pinned = dict(children or {})

        def made(definition: Definition) -> RegisteredVersion:
            return register(
                definition,
                activities=self.activities,
                code=code,
                children=pinned,
                calendars=calendars,
            )

        version = made(definition)
        if not self.dev:
            return version
        name = f"{definition.version}+{version.content_hash[:_DEV_HASH]}"
        for id in recursions(definition):  # it calls itself by the name it gets
            if id in pinned:
                pinned[id] = name
        return made(definition.model_copy(update={"version": name}))


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
    definition = _in_namespace(definition, namespace)
    shipped = dict(functions or {})
    places = [*([folder] if folder is not None else []), *code_path]
    activities = check_activities(definition, places, registered=shipped)
    pickled = {name: _by_value(name, function) for name, function in sorted(shipped.items())}
    modules = entry_modules(definition) if folder is not None else ()
    bundle = b""
    if modules or pickled:
        bundle = bundle_modules(folder or Path(), modules, functions=pickled)
    return Prepared(definition=definition, activities=activities, bundle=bundle, dev=dev)


def _loaded(what: Definition | Path | str) -> tuple[Definition, Path | None]:
    """The checked definition, and the folder whose modules it brings along."""
    if isinstance(what, Definition):
        return checked(what), None
    if isinstance(what, str) and ("\n" in what or what.lstrip().startswith("{")):
        return parse_definition(what), None
    return load_definition(what), Path(what).resolve().parent


def _in_namespace(definition: Definition, namespace: str) -> Definition:
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


def _by_value(name: str, function: Callable[..., Any]) -> bytes:
    from ray import cloudpickle

    plain = function.function if isinstance(function, Step) else function
    with _module_by_value(plain, cloudpickle):
        try:
            pickled: bytes = cloudpickle.dumps(plain)  # type: ignore[no-untyped-call]  # Ray's
        except Exception as error:  # whatever the objects it refers to raise
            raise InputError(
                f"the function {name!r} cannot be shipped by value ({error}); put it into a "
                f"module beside the definition's file"
            ) from error
    return pickled


@contextmanager
def _module_by_value(function: Callable[..., Any], cloudpickle: Any) -> Iterator[None]:
    """A function of an importable module would be pickled as its name only."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    if module is None or module.__name__ == "__main__":
        yield
        return
    registered = module.__name__ in cloudpickle.list_registry_pickle_by_value()
    if not registered:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        if not registered:
            cloudpickle.unregister_pickle_by_value(module)
