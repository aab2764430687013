"""Owns reading the address of a PostgreSQL database and naming it without its secrets; opens nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from psycopg import Error
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from headrace.domain.errors import ConfigInvalid
from headrace.domain.secret import Secret

CONNECT_SECONDS = 3
LOST_SECONDS = 10
# What the address may overrule: how soon a peer that says nothing counts as lost.
PATIENCE: Mapping[str, str] = {
    "connect_timeout": str(CONNECT_SECONDS),
    "keepalives_idle": str(LOST_SECONDS),
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": str(LOST_SECONDS * 1_000),
    "client_encoding": "UTF8",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is: `name` may be shown, `conninfo` holds the password when there is one."""

    name: str
    conninfo: Secret


def read_place(url: Secret, application: str) -> Place:
    """Return the place that an address names; raises ConfigInvalid, which shows nothing of the address."""
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(url.reveal()).items() if value is not None}
    except Error:
        raise _unreadable() from None
    if _is_misread(url.reveal(), given):
        raise _unreadable()
    conninfo = make_conninfo("", **{**PATIENCE, "application_name": application, **given})
    return Place(_name(given), Secret(conninfo))


def _unreadable() -> ConfigInvalid:
    return ConfigInvalid(
        "The store's address cannot be read. Write it like postgresql://USER@HOST:5432/DATABASE, with special "
        "characters of a password as %XX, or keep the password out of it: see docs/postgresql.md.",
        param="store",
    )


def _is_misread(address: str, given: dict[str, str]) -> bool:
    """Whether a bare @ or / in a password has put the rest of it where host, port and database are told, and shown."""
    hosts, ports = given.get("host", "").split(","), given.get("port", "").split(",")
    path = address.partition("://")[2].partition("/")[2].partition("?")[0]
    return "@" in path or any("@" in each[1:] for each in hosts) or any(each and not each.isdigit() for each in ports)


def _name(given: dict[str, str]) -> str:
    """A host that begins with a slash is a folder with a socket, so it is written as a parameter."""
    user = f"{quote(given['user'])}@" if "user" in given else ""
    port = f":{given['port']}" if "port" in given else ""
    host, database = given.get("host", ""), quote(given.get("dbname", ""))
    if host.startswith("/"):
        return f"postgresql://{user}{port}/{database}?host={host}"
    return f"postgresql://{user}{host}{port}/{database}"
