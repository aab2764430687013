"""Flags, and what they come to: flag, else environment, else configuration file, else default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar, cast

from cyclopts import Parameter

from headrace.cli.config import FILE_NAME, ConfigFile, read_config
from headrace.cli.environment import Environment, split_names
from headrace.cli.store_address import read_store_address
from headrace.domain.errors import ConfigInvalid
from headrace.domain.secret import Secret
from headrace.domain.settings import DriverSettings, Limits, LogFormat, ServeOptions

T = TypeVar("T")
DEFAULT_HOME = "~/.headrace"
LOG_FORMATS = ("json", "pretty")
_HOST_AND_PORT = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9._-]+):[0-9]{1,5}")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ServeFlags:
    """The flags of `headrace serve`."""

    home: Annotated[Path | None, Parameter(help="Where everything is kept (~/.headrace). [HEADRACE_HOME]")] = None
    host: Annotated[str | None, Parameter(help="Address to listen on (127.0.0.1). [HEADRACE_HOST]")] = None
    port: Annotated[int | None, Parameter(help="Port to listen on (8080). [HEADRACE_PORT]")] = None
    config: Annotated[
        Path | None, Parameter(help="Configuration file (headrace.toml in the home). [HEADRACE_CONFIG]")
    ] = None
    store: Annotated[
        str | None,
        Parameter(help="PostgreSQL's address, or a file that holds it (SQLite in the home). [HEADRACE_STORE]"),
    ] = None
    tls: Annotated[
        bool | None, Parameter(help="Serve HTTPS, signed by an authority made in the home. [HEADRACE_TLS]")
    ] = None
    tls_cert: Annotated[Path | None, Parameter(help="Serve HTTPS with this certificate. [HEADRACE_TLS_CERT]")] = None
    tls_key: Annotated[Path | None, Parameter(help="The certificate's private key. [HEADRACE_TLS_KEY]")] = None
    allowed_host: Annotated[
        tuple[str, ...] | None,
        Parameter(
            help="A further Host that requests may name; may be given again. [HEADRACE_ALLOWED_HOST, comma separated]",
            negative="",
        ),
    ] = None
    cors_origin: Annotated[
        tuple[str, ...] | None,
        Parameter(
            help="An origin whose web pages may call; may be given again. [HEADRACE_CORS_ORIGIN, comma separated]",
            negative="",
        ),
    ] = None
    webhook_host: Annotated[
        tuple[str, ...] | None,
        Parameter(
            help="A private host:port that webhooks may go to; may be given again. [HEADRACE_WEBHOOK_HOST, comma"
            " separated]",
            negative="",
        ),
    ] = None
    idempotency: Annotated[
        bool | None, Parameter(help="Keep replies, sealed, for a repeated Idempotency-Key (1). [HEADRACE_IDEMPOTENCY]")
    ] = None
    response_cache: Annotated[
        bool | None, Parameter(help="Let keys keep replies for the same request again (1). [HEADRACE_RESPONSE_CACHE]")
    ] = None
    pull: Annotated[
        bool | None, Parameter(help="Download the first models, with progress, and serve. [HEADRACE_PULL]")
    ] = None
    log: Annotated[Literal["json", "pretty"] | None, Parameter(help="How log lines look (pretty). [HEADRACE_LOG]")] = (
        None
    )


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class HomeFlags:
    """The flags of every verb that works on this machine's home."""

    home: Annotated[Path | None, Parameter(help="Where everything is kept (~/.headrace). [HEADRACE_HOME]")] = None
    json: Annotated[bool | None, Parameter(help="Print JSON, for machines. [HEADRACE_JSON]", negative="")] = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFlags:
    """The flags of every verb that asks a running server."""

    url: Annotated[str | None, Parameter(help="The server (base_url of HOME/credentials.json). [HEADRACE_URL]")] = None
    api_key: Annotated[
        str | None, Parameter(help="Model access key; better in the environment. [HEADRACE_API_KEY]")
    ] = None
    admin_token: Annotated[
        str | None, Parameter(help="Admin token; better in the environment. [HEADRACE_ADMIN_TOKEN]")
    ] = None
    ca: Annotated[Path | None, Parameter(help="Authority to trust for https. [HEADRACE_CA]")] = None
    home: Annotated[Path | None, Parameter(help="Where credentials.json lies (~/.headrace). [HEADRACE_HOME]")] = None
    json: Annotated[bool | None, Parameter(help="Print JSON, for machines. [HEADRACE_JSON]", negative="")] = None


NO_SERVE_FLAGS = ServeFlags()
NO_HOME_FLAGS = HomeFlags()
NO_FLAGS = ClientFlags()


def home_of(flag: Path | None, environment: Environment) -> Path:
    """Return the home; a configuration file has a say only when the environment names the file."""
    named = flag or environment.path("home") or _configured_home(environment) or Path(DEFAULT_HOME)
    return named.expanduser().absolute()


def serve_options(flags: ServeFlags, environment: Environment) -> ServeOptions:
    """Return what to serve; raises ConfigInvalid for what contradicts itself."""
    named_home = flags.home or environment.path("home")
    named_config = flags.config or environment.path("config")
    file = _config_file(named_home, named_config)
    table = file.tables.server if file is not None else None
    tls_cert = flags.tls_cert or environment.path("tls_cert")
    tls_key = flags.tls_key or environment.path("tls_key")
    if file is not None:
        tls_cert = tls_cert or file.resolve(file.tables.server.tls_cert)
        tls_key = tls_key or file.resolve(file.tables.server.tls_key)
        named_home = named_home or file.resolve(file.tables.server.home)
    log = flags.log or environment.choice("log", LOG_FORMATS) or (table and table.log) or "pretty"
    options = ServeOptions(
        home=home_of(named_home, environment),
        host=_first(flags.host, environment.text("host"), table and table.host, "127.0.0.1"),
        port=_first(flags.port, environment.number("port"), table and table.port, 8080),
        config=file.path if file is not None else None,
        store=_store(flags.store or environment.text("store"), file),
        tls=_first(flags.tls, environment.switch("tls"), table and table.tls, False),
        tls_cert=_absolute(tls_cert),
        tls_key=_absolute(tls_key),
        allowed_hosts=_first(
            _given(flags.allowed_host), environment.names("allowed_host"), table and table.allowed_hosts, ()
        ),
        cors_origins=_first(
            _given(flags.cors_origin), environment.names("cors_origin"), table and table.cors_origins, ()
        ),
        webhook_hosts=_first(
            _given(flags.webhook_host), environment.names("webhook_host"), table and table.webhook_hosts, ()
        ),
        idempotency=_first(flags.idempotency, environment.switch("idempotency"), table and table.idempotency, True),
        response_cache=_first(
            flags.response_cache, environment.switch("response_cache"), table and table.response_cache, True
        ),
        pull=_first(flags.pull, environment.switch("pull"), table and table.pull, False),
        log_format=cast("LogFormat", log),
        limits=file.limits if file is not None else Limits(),
        drivers=file.drivers if file is not None else DriverSettings(),
        credential_files=file.credential_files if file is not None else {},
    )
    _check(options)
    return options


def store_of(home: Path, environment: Environment) -> Secret | None:
    """Return the store's address that `headrace serve` would take for a home, or None for SQLite."""
    return _store(environment.text("store"), _config_file(home, environment.path("config")))


def wants_json(flag: bool | None, environment: Environment) -> bool:
    """Whether the result is for a machine."""
    return _first(flag, environment.switch("json"), False)


def _configured_home(environment: Environment) -> Path | None:
    named = environment.path("config")
    if named is None:
        return None
    file = read_config(named)
    return file.resolve(file.tables.server.home)


def _config_file(home: Path | None, named: Path | None) -> ConfigFile | None:
    if named is not None:
        return read_config(named.expanduser())
    path = (home if home is not None else Path(DEFAULT_HOME)).expanduser() / FILE_NAME
    if not path.exists():
        return None
    file = read_config(path)
    if file.tables.server.home is not None:
        raise ConfigInvalid(f"{path}: server.home: this file lies in the home already. Delete the line.")
    return file


def _store(given: str | None, file: ConfigFile | None) -> Secret | None:
    if given is not None:
        return read_store_address(given)
    written = None if file is None else file.tables.server.store
    if file is None or written is None:
        return None
    return read_store_address(written if "://" in written else str(file.resolve(written)))


def _given(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    return tuple(name for each in names for name in split_names(each))


def _check(options: ServeOptions) -> None:
    if not 0 <= options.port <= 65_535:
        raise ConfigInvalid(f"{options.port} is not a port. Use 0 (any free one) to 65535.", param="port")
    if (options.tls_cert is None) != (options.tls_key is None):
        given, missing = ("--tls-cert", "--tls-key") if options.tls_key is None else ("--tls-key", "--tls-cert")
        raise ConfigInvalid(f"{given} stands alone. Give {missing} too: a certificate needs its private key.")
    for origin in options.cors_origins:
        if _ORIGIN.fullmatch(origin) is None:
            raise ConfigInvalid(
                f'"{origin}" is not an origin. Write it as browsers send it, like https://console.example.com, without '
                "a path; there is no wildcard.",
                param="cors_origins",
            )
    for host in options.webhook_hosts:
        if _HOST_AND_PORT.fullmatch(host) is None:
            raise ConfigInvalid(
                f'"{host}" is no host and port. Write them exactly, in lower case, like 10.0.0.7:9000,'
                " hooks.internal:443 or [::1]:9000; there is no wildcard.",
                param="webhook_hosts",
            )
    if options.tls and options.tls_cert is not None:
        raise ConfigInvalid("--tls and --tls-cert exclude each other. Drop --tls to serve with your own certificate.")


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.expanduser().absolute()


def _first(*values: T | None) -> T:
    """Return the first value that is set; the last one always is."""
    return next(value for value in values if value is not None)
