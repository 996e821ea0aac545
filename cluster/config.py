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
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import Meta, Struct

from heliostat.actors.runner.secrets import VARIABLE_PREFIX as SECRETS_PREFIX
from heliostat.engine.calendars import Calendar, CalendarError, read_calendar
from heliostat.engine.errors import ConfigurationError

FILE_NAME: Final = "heliostat.toml"
ENVIRONMENT_PREFIX: Final = "HELIOSTAT_"
_CONFIG_VARIABLE: Final = "HELIOSTAT_CONFIG"

Bound = Annotated[int, Meta(ge=1, le=86_400_000)]


class Configuration(Struct, frozen=True, kw_only=True):
    """Everything that can be set. Each key is described in docs/configuration.md."""

    data_dir: Path = Path(".heliostat")
    """Where the journal, the blobs and the record of the running deployment are."""
    code: Path = Path()
    """Where runners find modules that are not shipped with a definition."""
    secrets_file: Path | None = None
    """Where runners find secrets that their environment does not have."""
    calendars: Mapping[str, Calendar] = {}
    """What `calendar` in a deadline may name."""
    ray_address: str | None = None
    """A Ray cluster that somebody else started, as `host:port`; absent, heliostat starts one."""
    hosts: Annotated[int, Meta(ge=1, le=64)] = 1
    """Execution hosts; a SQLite journal is written by one."""
    runners: Annotated[int, Meta(ge=0, le=1_024)] = 0
    """Warm runners; 0 takes one less than the node has CPUs, and at least one."""
    dashboard: bool = False
    """Start Ray's dashboard too; it costs some seconds and 200 MB."""
    up_timeout_ms: Bound = 120_000
    """How long `up` and an embedded `connect` wait for the deployment to answer."""
    drain_timeout_ms: Bound = 10_000
    """How long `down` lets running attempts report before it stops them."""
    call_timeout_ms: Bound = 30_000
    """How long a client repeats a call that no host answers, before it says so."""

    @property
    def journal_path(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "journal"

    @property
    def blobs_path(self) -> Path:
        """The folder of the blobs."""
        return self.data_dir / "blobs"


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
        if not name.startswith(ENVIRONMENT_PREFIX) or name == _CONFIG_VARIABLE:
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
    if key in ("ray_address", "secrets_file") and value == "":
        return None
    if key == "calendars":
        return _calendars(value, source=source)
    try:
        if _TYPES[key] in (Path, Path | None):
            return directory / Path(msgspec.convert(str(value), Annotated[str, Meta(min_length=1)]))
        return msgspec.convert(value, _TYPES[key], strict=not isinstance(value, str))
    except msgspec.ValidationError as error:
        raise ConfigurationError(
            f"{key} = {value!r} from {source} cannot be used: {_lowered(str(error))}; "
            f"see {key} in docs/configuration.md"
        ) from error


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
    if configuration.hosts > 1:
        raise ConfigurationError(
            f"hosts = {configuration.hosts}, but a SQLite journal is written by one host; "
            f"several hosts need the PostgreSQL journal, which this version does not have yet: "
            f"set hosts = 1"
        )
