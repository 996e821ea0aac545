"""Looking at the functions that a definition names, before anything runs.

Those of activities and of handlers' custom actions: scripts and service calls bring their own.

The modules are imported in the calling process: the client's, or for HTTP a runner's, never a
host's. A missing module or function, a parameter that `input` lacks or that the function does not
have, are faults of the definition and are told with their place in its file.
"""

from __future__ import annotations

import importlib
import inspect
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any, Final

from msgspec import Struct

from ..errors import DefinitionError
from ..plan.numbering import custom_key
from .annotations import Annotations, annotations_of
from .canonical import content
from .diagnostics import Findings
from .model import ActivityStep, Definition
from .modules import importing_from
from .scopes import scopes_of
from .source import Path
from .steps import ActivityOptions, Step, StepOptions, merge

TARGET: Final = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)")
REGISTERED: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class Fault(Struct, frozen=True):
    """Why an activity cannot be used; `code` is that of a diagnostic."""

    code: str
    message: str
    cure: str | None = None


class ActivityInfo(Struct, frozen=True, kw_only=True):
    """What can be told of an activity without calling it."""

    target: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    accepts_any: bool = False
    """It has `**kwargs`: parameters of any name."""
    positional: tuple[str, ...] = ()
    """Required parameters that cannot be passed by name; no step can call it."""
    annotations: Annotations = Annotations()
    """What is known of its values, where that was asked for."""
    options: Any = None  # StepOptions, if the function is marked with `@hs.step`
    faults: tuple[Fault, ...] = ()

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names that `input` may map."""
        return self.required + self.optional


def inspect_activity(
    target: str,
    code_path: Sequence[str | FilePath] = (),
    *,
    registered: Mapping[str, Callable[..., Any]] | None = None,
) -> ActivityInfo:
    """Import the module of `module:function` and look at the function; nothing is called.

    Args:
        code_path: folders in which modules are looked for first.
        registered: functions given by value, by the names that activities may say instead.
    """
    with importing_from(code_path):
        return _inspected(target, registered or {}, False)


def check_activities(
    definition: Definition,
    code_path: Sequence[str | FilePath] = (),
    *,
    registered: Mapping[str, Callable[..., Any]] | None = None,
) -> dict[str, ActivityOptions]:
    """What definition and decorators say together, by step id; each function looked at.

    Those of handlers' custom actions stand under `custom_key`.

    Raises:
        DefinitionError: with a diagnostic for each function that a step cannot call.
    """
    return options_of(definition, inspected(definition, code_path, registered=registered))


def inspected(
    definition: Definition,
    code_path: Sequence[str | FilePath] = (),
    *,
    registered: Mapping[str, Callable[..., Any]] | None = None,
    annotated: bool = False,
) -> dict[str, ActivityInfo]:
    """Each function that a definition names, by the name, looked at; faults are told there.

    Args:
        annotated: with what annotations say of values, which takes some more time.
    """
    found: dict[str, ActivityInfo] = {}
    with importing_from(code_path):
        for _, step, _ in _calls(definition):
            if step.activity not in found:
                found[step.activity] = _inspected(step.activity, registered or {}, annotated)
    return found


def options_of(
    definition: Definition, functions: Mapping[str, ActivityInfo]
) -> dict[str, ActivityOptions]:
    """What definition and decorators say together, as `check_activities` answers.

    Raises:
        DefinitionError: with a diagnostic for each function that a step cannot call.
    """
    name = definition.source.name if definition.source is not None else definition.id
    findings = Findings(name, content(definition), definition.source)
    merged: dict[str, ActivityOptions] = {}
    for key, step, path in _calls(definition):
        info = functions[step.activity]
        _compare(step, path, info, findings)
        merged[key] = _merged(step, path, info, findings)
    if findings:
        raise DefinitionError(name, findings.all())
    return merged


def entry_modules(definition: Definition) -> tuple[str, ...]:
    """The modules that a definition's activities name, each once, in the order written."""
    found = dict[str, None]()
    for _, step, _ in _calls(definition):
        if named := TARGET.fullmatch(step.activity):
            found[named[1]] = None
    return tuple(found)


def _calls(definition: Definition) -> Iterator[tuple[str, ActivityStep, Path]]:
    """All that call a function: steps by their ids, and handlers' custom actions as such steps."""
    for scope in scopes_of(definition):
        for index, step in enumerate(scope.steps):
            if isinstance(step, ActivityStep):
                yield step.id, step, scope.step_path(index)
    for number, handler in enumerate(definition.handlers):
        for index, action in enumerate(handler.actions):
            custom = action.custom
            if custom is None:
                continue
            given = {"input": custom.input} if custom.given("input") else {}
            step = ActivityStep(id="custom", type="activity", activity=custom.activity, **given)
            yield custom_key(number, index), step, ("handlers", number, "actions", index, "custom")


def _inspected(
    target: str, registered: Mapping[str, Callable[..., Any]], annotated: bool
) -> ActivityInfo:
    if target in registered:
        return _described(target, registered[target], annotated)
    named = TARGET.fullmatch(target)
    if named is None:
        return ActivityInfo(target=target, faults=(_no_target(target, registered),))
    found = _function(named[1], named[2])
    if isinstance(found, Fault):
        return ActivityInfo(target=target, faults=(found,))
    return _described(target, found, annotated)


def _no_target(target: str, registered: Mapping[str, Callable[..., Any]]) -> Fault:
    if REGISTERED.fullmatch(target) is None:
        return Fault("HS307", f'"{target}" names no function', 'write "module:function"')
    close = get_close_matches(target, registered, n=1)
    cure = f"did you mean `{close[0]}`?" if close else 'write "module:function", or register it'
    return Fault("HS307", f'no function is registered as "{target}"', cure)


def _function(module_name: str, path: str) -> Any:
    """The object that a target names, or why there is none."""
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # a user's module may raise anything
        return _import_fault(module_name, error)
    for name in path.split("."):
        owner, found = found, getattr(found, name, None)
        if found is None:
            functions = [key for key, value in vars(owner).items() if _is_function(value)]
            close = get_close_matches(name, functions, n=1, cutoff=0.5)
            listed = ", ".join(f"`{key}`" for key in functions[:8])
            cure = f"did you mean `{close[0]}`?" if close else f"it has {listed or 'no functions'}"
            return Fault("HS302", f"module `{module_name}` has no function `{path}`", cure)
    return found


def _is_function(value: Any) -> bool:
    return isinstance(value, Step) or inspect.isfunction(value)


def _import_fault(module_name: str, error: BaseException) -> Fault:
    absent = error.name if isinstance(error, ModuleNotFoundError) else None
    if absent is not None and f"{module_name}.".startswith(f"{absent}."):
        cure = "modules are looked for beside the definition and among installed packages"
        return Fault("HS301", f"there is no module `{absent}`", cure)
    frames = traceback.extract_tb(error.__traceback__)
    last = traceback.format_exception_only(error)[-1].strip()
    where = f", at {FilePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    cure = "import it by hand to see all of the traceback"
    return Fault("HS301", f"importing `{module_name}` failed: {last}{where}", cure)


def _described(target: str, found: Any, annotated: bool) -> ActivityInfo:
    options = found.options if isinstance(found, Step) else None
    if not callable(found) or inspect.ismodule(found):
        fault = Fault("HS303", f"`{target}` is {_kind(found)}, not a function", None)
        return ActivityInfo(target=target, faults=(fault,))
    try:
        signature = inspect.signature(found)
    except (ValueError, TypeError):  # some builtins tell nothing of their parameters
        return ActivityInfo(target=target, accepts_any=True, options=options)
    required, optional, positional = list[str](), list[str](), list[str]()
    accepts_any = False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            accepts_any = True
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            if parameter.default is parameter.empty:
                positional.append(parameter.name)
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            (required if parameter.default is parameter.empty else optional).append(parameter.name)
    return ActivityInfo(
        target=target,
        required=tuple(required),
        optional=tuple(optional),
        accepts_any=accepts_any,
        positional=tuple(positional),
        annotations=annotations_of(found) if annotated else Annotations(),
        options=options,
    )


def _kind(found: Any) -> str:
    if inspect.ismodule(found):
        return "a module"
    name = type(found).__name__
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def _compare(step: ActivityStep, path: Path, info: ActivityInfo, findings: Findings) -> None:
    """Note what keeps a step from calling the function."""
    for fault in info.faults:
        findings.add(fault.code, (*path, "activity"), fault.message, fault.cure)
    if info.faults:
        return
    for name in info.positional:
        message = f"`{info.target}` takes `{name}` by position only"
        findings.add("HS306", (*path, "activity"), message, "remove the `/` from its signature")
    if step.given("input") and not isinstance(step.input, dict):
        return  # an expression: what it maps is known when it runs
    given = step.input if isinstance(step.input, dict) else {}
    for fault, field in unfitting(given, info):
        findings.add(fault.code, (*path, *field), fault.message, fault.cure, at="key")


def unfitting(given: Mapping[str, Any], info: ActivityInfo) -> Iterator[tuple[Fault, Path]]:
    """Parameters that an input lacks, and those that a function does not have; each with the field
    of the step."""
    for name in info.required:
        if name not in given:
            message = f"`{info.target}` needs `{name}`"
            cure = f"add `{name}: …` to `input`"
            yield Fault("HS304", message, cure), ("input",) if given else ("activity",)
    if info.accepts_any:
        return
    for name in given:
        if name not in info.parameters:
            close = get_close_matches(name, info.parameters, n=1, cutoff=0.5)
            listed = ", ".join(f"`{known}`" for known in info.parameters)
            cure = f"did you mean `{close[0]}`?" if close else f"it has {listed or 'none at all'}"
            message = f"`{info.target}` has no parameter `{name}`"
            yield Fault("HS305", message, cure), ("input", name)


def _merged(
    step: ActivityStep, path: Path, info: ActivityInfo, findings: Findings
) -> ActivityOptions:
    options: StepOptions | None = info.options
    merged = merge(step, options)
    if merged.retry.initial_ms > merged.retry.max_ms:
        findings.add(
            "HS308",
            (*path, "retry"),
            f"as merged with `{info.target}`, the first back-off is longer than the longest",
            "say both `initial` and `max` here",
        )
    return merged
