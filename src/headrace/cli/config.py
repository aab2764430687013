"""Reads headrace.toml into a typed tree and names file, line, key and fix of what is wrong; merging is options'.

The aliases in it are read again on a reload, everything else at the start.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, TypeVar, cast

import msgspec
from msgspec import Meta, Struct

from headrace.domain.alias import WrittenAlias
from headrace.domain.errors import ConfigInvalid
from headrace.domain.finding import Finding, config_invalid
from headrace.domain.names import did_you_mean
from headrace.domain.settings import DriverSettings, Limits
from headrace.wire.converter import Converter
from headrace.wire.toml_lines import KeyPath, key_lines, line_of, show

FILE_NAME = "headrace.toml"
LARGEST_BYTES = 1024 * 1024
T = TypeVar("T", bound=Struct)
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65_535)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=86_400)]
_DEFAULT = Limits()
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>[^`]*)`")
_PLACE = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`")
_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)")


class ServerTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The table `[server]`: what the flags of `headrace serve` say too."""

    home: str | None = None
    host: str | None = None
    port: Port | None = None
    store: str | None = None
    tls: bool | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    allowed_hosts: tuple[str, ...] | None = None
    cors_origins: tuple[str, ...] | None = None
    webhook_hosts: tuple[str, ...] | None = None
    idempotency: bool | None = None
    response_cache: bool | None = None
    pull: bool | None = None
    log: Literal["json", "pretty"] | None = None


class LimitsTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The table `[limits]`."""

    max_body_bytes: Annotated[int, Meta(ge=1024, le=1024**3)] = _DEFAULT.max_body_bytes
    max_connections: Annotated[int, Meta(ge=1)] = _DEFAULT.max_connections
    max_connections_per_address: Annotated[int, Meta(ge=1)] = _DEFAULT.max_connections_per_address
    slow_reader_seconds: Seconds = _DEFAULT.slow_reader_seconds
    engine_memory_mib: Annotated[int, Meta(ge=64)] | None = _DEFAULT.engine_memory_mib
    engine_wait_seconds: Seconds = _DEFAULT.engine_wait_seconds
    connect_seconds: Seconds = _DEFAULT.connect_seconds
    first_event_seconds: Seconds = _DEFAULT.first_event_seconds
    between_events_seconds: Seconds = _DEFAULT.between_events_seconds
    total_seconds: Seconds = _DEFAULT.total_seconds
    keepalive_seconds: Seconds = _DEFAULT.keepalive_seconds
    drain_seconds: Annotated[int, Meta(ge=0, le=3600)] = _DEFAULT.drain_seconds
    breaker_failures: Annotated[int, Meta(ge=0, le=1000)] = _DEFAULT.breaker_failures
    keep_responses_days: Annotated[int, Meta(ge=0, le=3650)] = _DEFAULT.keep_responses_days
    keep_decisions_days: Annotated[int, Meta(ge=1, le=3650)] = _DEFAULT.keep_decisions_days


class DriversTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The table `[drivers]`: where deployments may run beside this machine's processor."""

    local_devices: tuple[Annotated[int, Meta(ge=0, le=1023)], ...] | None = None
    ray_address: Annotated[str, Meta(pattern="^https?://")] | None = None
    ray_token_file: str | None = None
    cloud_address: Annotated[str, Meta(pattern="^https?://")] | None = None
    cloud_token_file: str | None = None


class AliasTable(Struct, frozen=True, forbid_unknown_fields=True):
    """One table below `[aliases]`."""

    points_to: str = ""
    fallbacks: tuple[str, ...] = ()


class ConfigTables(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file.

    `[credentials]` maps a provider to the path of the file that holds its key, `[aliases]` a name to what it points at.
    """

    server: ServerTable = ServerTable()
    limits: LimitsTable = LimitsTable()
    drivers: DriversTable = DriversTable()
    credentials: dict[str, str] = {}
    aliases: dict[str, AliasTable] = {}


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A configuration file whose form is right; relative paths in it start at its own folder."""

    path: Path
    tables: ConfigTables

    def resolve(self, text: str | None) -> Path | None:
        """Return a path that stands in the file, made absolute, or None."""
        return None if text is None else self.path.parent / Path(text).expanduser()

    @property
    def limits(self) -> Limits:
        """The limits, defaults filled in."""
        return Limits(**msgspec.structs.asdict(self.tables.limits))

    @property
    def drivers(self) -> DriverSettings:
        """What compute drivers are told."""
        table = self.tables.drivers
        return DriverSettings(
            local_devices=table.local_devices,
            ray_address=table.ray_address,
            ray_token_file=self.resolve(table.ray_token_file),
            cloud_address=table.cloud_address,
            cloud_token_file=self.resolve(table.cloud_token_file),
        )

    @property
    def credential_files(self) -> Mapping[str, Path]:
        """The file of each provider's key."""
        return {name: self.path.parent / Path(text).expanduser() for name, text in self.tables.credentials.items()}


class AliasFile:
    """The aliases of a configuration file, as it stands whenever they are read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> tuple[WrittenAlias, ...]:
        """Return the aliases; raises ConfigInvalid for whatever is wrong with the file."""
        data = _content(self._path)
        file = str(self._path)
        tables = decode_config(file, data).aliases
        lines = key_lines(_text(data))
        return tuple(
            WrittenAlias(name, table.points_to, table.fallbacks, file, line_of(lines, ("aliases", name)))
            for name, table in tables.items()
        )

    def digest(self) -> str:
        """Return a digest of the file, of nothing when it cannot be read."""
        try:
            return hashlib.sha256(self._path.read_bytes()).hexdigest()
        except OSError:
            return ""


def read_config(path: Path) -> ConfigFile:
    """Return the file; raises ConfigInvalid naming file, line, key and fix."""
    return ConfigFile(path.absolute(), decode_config(str(path), _content(path)))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise ConfigInvalid(
            f"{path}: cannot be read ({error.strerror}). Name a readable file with --config, or leave the flag out."
        ) from error
    if len(data) > LARGEST_BYTES:
        raise ConfigInvalid(f"{path}: is larger than {LARGEST_BYTES} bytes. Name the right file with --config.")
    return data


def _text(data: bytes) -> str:
    return data.decode("utf-8").replace("\r\n", "\n")


def decode_config(file: str, data: bytes) -> ConfigTables:
    """Return the tables of a configuration text; raises ConfigInvalid."""
    try:
        text = _text(data)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise config_invalid(
            [Finding(file, line, "", f"byte {error.start} is not UTF-8", "Save the file as UTF-8.")]
        ) from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise config_invalid([_not_toml(file, text, error)]) from None
    lines = key_lines(text)
    found = [Finding(file, line_of(lines, path), show(path), *what) for path, what in _problems(raw)]
    if found:
        raise config_invalid(found)
    return _ALL.convert(raw)


_ALL = Converter(ConfigTables)
_ALIAS = Converter(AliasTable)
_TABLES: Mapping[str, Converter[Struct]] = {
    "server": Converter(ServerTable),
    "limits": Converter(LimitsTable),
    "drivers": Converter(DriversTable),
}


def _problems(raw: Mapping[str, object]) -> list[tuple[KeyPath, tuple[str, str]]]:
    found: list[tuple[KeyPath, tuple[str, str]]] = []
    for name, value in raw.items():
        known = _TABLES.get(name)
        if known is not None and isinstance(value, dict):
            table = cast("dict[str, object]", value)
            found.extend(((name, key), what) for key, what in _table_problems(known, table))
            continue
        if name == "credentials" and isinstance(value, dict):
            files = cast("dict[str, object]", value)
            wrong_files = [each for each in files.items() if not isinstance(each[1], str)]
            fix = "Write the path of the file that holds the provider's key, never the key itself."
            found.extend(((name, key), (f"expected a path, not {shown!r}", fix)) for key, shown in wrong_files)
            continue
        if name == "aliases" and isinstance(value, dict):
            found.extend(_alias_problems(cast("dict[str, object]", value)))
            continue
        wrong = _convert_problem(_ALL, {name: value})
        if wrong is not None:
            found.append(wrong)
    return found


def _alias_problems(aliases: Mapping[str, object]) -> Iterator[tuple[KeyPath, tuple[str, str]]]:
    for name, value in aliases.items():
        fix = f'Write [aliases."{name}"] and below it points_to = "MODEL".'
        if not isinstance(value, dict):
            yield ("aliases", name), (f"expected a table, not {value!r}", fix)
            continue
        table = cast("dict[str, object]", value)
        if "points_to" not in table:
            yield ("aliases", name), ("points_to is missing", fix)
        for key, what in _table_problems(_ALIAS, table):
            yield ("aliases", name, key), what


def _table_problems(known: Converter[Struct], table: Mapping[str, object]) -> list[tuple[str, tuple[str, str]]]:
    """Each key on its own, so that all that is wrong is told at once."""
    each = ((key, _convert_problem(known, {key: value})) for key, value in table.items())
    return [(key, wrong[1]) for key, wrong in each if wrong is not None]


def _convert_problem(known: Converter[Struct], value: Mapping[str, object]) -> tuple[KeyPath, tuple[str, str]] | None:
    try:
        known.convert(value)
    except msgspec.ValidationError as error:
        message = str(error)
    else:
        return None
    unknown = _UNKNOWN.match(message)
    if unknown is not None:
        name = unknown["name"]
        names = [each.name for each in msgspec.structs.fields(known.kind)]
        hint = did_you_mean(name, names) or f"Known keys: {', '.join(names)}."
        return (name,), ("no such key", hint)
    place = _PLACE.search(message)
    (key, given), *_ = value.items()
    path: KeyPath = (key,)
    if place is not None and "." in place["path"]:
        path = tuple(place["path"].split("."))
    problem = _PLACE.sub("", message)
    shown = "" if isinstance(given, dict | list) else f", not {given!r}"
    return path, (f"{problem[:1].lower()}{problem[1:]}{shown}", "Correct the value, or delete the line.")


def _not_toml(file: str, text: str, error: tomllib.TOMLDecodeError) -> Finding:
    message = str(error)
    at = _AT_LINE.search(message)
    line = int(at[1]) if at is not None else text.count("\n") + 1
    fix = 'Write key = "text", key = 1 or a [table] header.'
    return Finding(file, line, "", f"not valid TOML: {_AT_LINE.sub('', message)}", fix)
