"""What can be configured: one frozen object, read once, every value checked with its source.

Sources, each overriding the ones before: defaults, a file (`heliostat.toml` in the working
directory, or the one named by `--config`), environment variables `HELIOSTAT_<KEY>`, flags.
Text in a file may name environment variables as `${VAR}`; `$${` stands for itself. Relative paths
in a file start at the file's folder, all others at the working directory. What is a table in a file
is JSON in an environment variable.

Nothing else in heliostat reads a configuration file, or the environment for its own settings.
Secrets are no settings: runners look `HELIOSTAT_SECRET_<NAME>` up where they are used.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

import msgspec
from msgspec import Meta, Struct

from heliostat.actors import journals
from heliostat.actors.runner.secrets import VARIABLE_PREFIX as SECRETS_PREFIX
from heliostat.engine.calendars import Calendar, CalendarError, read_calendar
from heliostat.engine.errors import ConfigurationError
from heliostat.engine.expressions.time import parse_duration

FILE_NAME: Final = "heliostat.toml"
ENVIRONMENT_PREFIX: Final = "HELIOSTAT_"
_CONFIG_VARIABLE: Final = "HELIOSTAT_CONFIG"
_NO_SETTINGS: Final = (_CONFIG_VARIABLE, "HELIOSTAT_SERVER")
"""Where the settings are, and which deployment the command line works with."""

DAY_MS: Final = 86_400_000
DURATION_MS_MIN: Final = 1_000
"""Of a retention: below it an execution would be gone before its client has read the end."""

Bound = Annotated[int, Meta(ge=1, le=86_400_000)]


class Configuration(Struct, frozen=True, kw_only=True):
    """Everything that can be set. Each key is described in docs/configuration.md."""

    data_dir: Path = Path(".heliostat")
    """Where the journal, the blobs and the record of the running deployment are."""
    journal: str | None = None
    """The URL of a PostgreSQL database, for several hosts; absent, SQLite in the data directory."""
    code: Path = Path()
    """Where runners find modules that are not shipped with a definition."""
    secrets_file: Path | None = None
    """Where runners find secrets that their environment does not have."""
    calendars: Mapping[str, Calendar] = {}
    """What `calendar` in a deadline may name."""
    ray_address: str | None = None
    """A Ray cluster that somebody else started, as `host:port`; absent, heliostat starts one."""
    hosts: Annotated[int, Meta(ge=1, le=64)] = 1
    """Execution hosts; a SQLite journal is written by one, several share one on PostgreSQL."""
    runners: Annotated[int, Meta(ge=0, le=1_024)] = 0
    """Warm runners; 0 takes one less than the node has CPUs, and at least one."""
    retention: int | None = None
    """Milliseconds after their end in which executions are kept; None: for ever."""
    bus_retention: int = DAY_MS
    """Milliseconds in which published events are kept."""
    dedicated_spares: Annotated[int, Meta(ge=0, le=100)] = 0
    """Actors kept ready for executions of definitions with `isolation: dedicated`."""
    objects_bytes: Annotated[int, Meta(ge=0)] | None = None
    """Of Ray's object store, for values between steps; None: a fifth of a node's, 0: none."""
    semaphores: Mapping[
        Annotated[str, Meta(min_length=1)], Annotated[int, Meta(ge=1, le=1_000_000)]
    ] = {}
    """Semaphores of the deployment: how many of each its steps may hold at a time."""
    conformance: bool = True
    """Whether hosts hold every event against its definition's plan before they store it."""
    autoscaling: bool = False
    """Whether Ray adds nodes on demand: what no node can run then waits for one."""
    dashboard: bool = False
    """Start Ray's dashboard too; it costs some seconds and 200 MB."""
    http: bool = True
    """Whether `up` opens the HTTP door too."""
    http_host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    """The address that it listens on."""
    http_port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    """Its port; 0 takes a free one."""
    http_replicas: Annotated[int, Meta(ge=1, le=64)] = 1
    """Processes that answer requests."""
    http_replicas_max: Annotated[int, Meta(ge=1, le=64)] | None = None
    """How many of them there are under load; None: no more than without."""
    verification: Literal["error", "warn", "off"] = "warn"
    """What registering does with what a proof finds: refuse it, tell it, or not prove."""
    verification_ms: Bound = 100
    """How long one exploration of such a proof may take."""
    up_timeout_ms: Bound = 120_000
    """How long `up` and an embedded `connect` wait for the deployment to answer."""
    drain_timeout_ms: Bound = 10_000
    """How long `down` lets running attempts report before it stops them."""
    call_timeout_ms: Bound = 30_000
    """How long a client repeats a call that no host answers, before it says so."""

    @property
    def journal_name(self) -> str:
        """Where the journal is, as `actors/journals.py` names it; may hold a password."""
        return self.journal or journals.SQLITE

    @property
    def journal_path(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "journal"

    @property
    def blobs_path(self) -> Path:
        """The folder of the blobs."""
        return self.data_dir / "blobs"

    def __repr__(self) -> str:
        return journals.shown_in(self, self.journal)


KEYS: Final[tuple[str, ...]] = Configuration.__struct_fields__


def load_configuration(
    flags: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Configuration:
    """Read every source and check the result.

    Args:
        flags: Values given by the caller; `None` values count as absent.
        file: A file that must exist; absent, `$HELIOSTAT_CONFIG` or `heliostat.toml` if there.
        environment: In place of the process's own.
        directory: In place of the working directory.

    Raises:
        ConfigurationError: naming the key, the value, where it came from and what to do.
    """
    environment = os.environ if environment is None else environment
    directory = Path.cwd() if directory is None else directory
    values: dict[str, Any] = {}
    path = _file_to_read(file, environment, directory)
    if path is not None:
        values |= _from_file(path, environment)
    values |= _from_environment(environment, directory)
    values |= _from_flags(flags or {}, directory)
    configuration = Configuration(**(_default_paths(directory) | values))
    _check_together(configuration)
    return configuration


def _file_to_read(
    file: Path | None, environment: Mapping[str, str], directory: Path
) -> Path | None:
    if file is None and environment.get(_CONFIG_VARIABLE):
        file = Path(environment[_CONFIG_VARIABLE])
    if file is None:
        path = directory / FILE_NAME
        return path if path.is_file() else None
    path = directory / file
    if not path.is_file():
        raise ConfigurationError(
            f"there is no configuration file {str(path)!r}; name one that exists with --config "
            f"or ${_CONFIG_VARIABLE}, or leave it out"
        )
    return path


def _from_file(path: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not TOML: {error}; correct the file") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error
    values = {}
    for key, value in content.items():
        _check_known(key, source=str(path), given=KEYS)
        if isinstance(value, str):
            value = _interpolate(value, key=key, source=str(path), environment=environment)
        values[key] = _convert(key, value, source=str(path), directory=path.parent)
    return values


def _from_environment(environment: Mapping[str, str], directory: Path) -> dict[str, Any]:
    names = {ENVIRONMENT_PREFIX + key.upper(): key for key in KEYS}
    values = {}
    for name, text in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in _NO_SETTINGS:
            continue
        if name.startswith(SECRETS_PREFIX):
            continue
        source = f"the environment variable {name}"
        _check_known(name, source="the environment", given=names)
        values[names[name]] = _convert(names[name], text, source=source, directory=directory)
    return values


def _from_flags(flags: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    values = {}
    for key, value in flags.items():
        _check_known(key, source="the call", given=KEYS)
        if value is not None:
            source = f"--{key.replace('_', '-')}"
            values[key] = _convert(key, value, source=source, directory=directory)
    return values


def _default_paths(directory: Path) -> dict[str, Any]:
    defaults = msgspec.structs.asdict(Configuration())
    return {k: directory / v for k, v in defaults.items() if isinstance(v, Path)}


_VARIABLE: Final = re.compile(r"\$(\$?)\{([^}]*)\}")


def _interpolate(text: str, *, key: str, source: str, environment: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return "${" + match[2] + "}"
        if match[2] not in environment:
            raise ConfigurationError(
                f"{key} = {text!r} in {source} names the environment variable {match[2]!r}, "
                f"which is not set; set it, or write `$${{` for a literal `${{`"
            )
        return environment[match[2]]

    return _VARIABLE.sub(replace, text)


_TYPES: Final = get_type_hints(Configuration, include_extras=True)


def _convert(key: str, value: Any, *, source: str, directory: Path) -> Any:
    """The typed value; text is read as the key's type, since variables and flags are text."""
    if key in ("journal", "ray_address", "secrets_file") and value == "":
        return None
    if key == "journal":
        return _journal(value, source=source)
    if key in ("retention", "bus_retention"):
        return _duration(key, value, source=source)
    if key == "calendars":
        return _calendars(value, source=source)
    if key == "semaphores" and isinstance(value, str):
        value = _table(key, value, source=source, example='{"llm": 4}')
    try:
        if _TYPES[key] in (Path, Path | None):
            return directory / Path(msgspec.convert(str(value), Annotated[str, Meta(min_length=1)]))
        return msgspec.convert(value, _TYPES[key], strict=not isinstance(value, str))
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"{key} = {value!r} from {source} cannot be used: {_lowered(str(error))}; "
            f"see {key} in docs/configuration.md"
        ) from error


def _journal(value: Any, *, source: str) -> str:
    """A URL, which no error shows the password of."""
    if not isinstance(value, str):
        raise ConfigurationError(f"journal from {source} is no text; give a PostgreSQL URL")
    try:
        return journals.checked(value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error.message} (from {source})") from None


def _duration(key: str, value: Any, *, source: str) -> int | None:
    """Milliseconds, of a text as definitions have it; nothing stands for the default."""
    if value == "":
        return None if key == "retention" else DAY_MS
    try:
        ms = parse_duration(value if isinstance(value, str) else str(value))
        if ms < DURATION_MS_MIN:
            raise ValueError("it must be a second at least")
    except ValueError as error:
        raise ConfigurationError(
            f'{key} = {value!r} from {source} cannot be used: {error}; write it as "30d" or '
            f'"12h", see {key} in docs/configuration.md'
        ) from None
    return ms


def _calendars(value: Any, *, source: str) -> dict[str, Calendar]:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError as error:
            raise ConfigurationError(
                f"calendars from {source} is no JSON ({error}); write "
                f'{{"nyse": {{"timezone": "America/New_York"}}}}, or a table in a file'
            ) from error
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"calendars = {value!r} from {source} is no table of calendars by name; see calendars "
            f"in docs/configuration.md"
        )
    try:
        return {name: read_calendar(name, content) for name, content in value.items()}
    except CalendarError as error:
        raise ConfigurationError(f"calendars from {source}: {error}") from error


def _table(key: str, text: str, *, source: str, example: str) -> Any:
    """What is a table in a file, as JSON in a variable."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise ConfigurationError(
            f"{key} from {source} is no JSON ({error}); write {example}, or a table in a file"
        ) from error


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def _check_known(name: str, *, source: str, given: Iterable[str]) -> None:
    names = list(given)
    if name in names:
        return
    from difflib import get_close_matches

    near = get_close_matches(name, names, n=1)
    cure = f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"
    raise ConfigurationError(f"{name} in {source} is not a configuration key; {cure}")


def _check_together(configuration: Configuration) -> None:
    """What no single value shows."""
    if configuration.hosts > 1 and not journals.is_shared(configuration.journal_name):
        raise ConfigurationError(
            f"hosts = {configuration.hosts}, but a SQLite journal is written by one host; "
            f'several hosts share one on PostgreSQL: set journal = "postgresql://…", or set '
            f"hosts = 1"
        )
