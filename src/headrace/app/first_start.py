"""The first start: an admin token and a first key, written once to HOME/credentials.json."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.access import OPERATOR_ACCOUNT, Role
from headrace.domain.errors import HomeUnusable
from headrace.domain.secret import Secret
from headrace.ports.ambient import Clock
from headrace.ports.stores import KeyStore
from headrace.services.identity import Identity, NewKey
from headrace.wire.json_strict import decode_object, encode

FILE_NAME = "credentials.json"
FIRST_ACCOUNT = "default"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What credentials.json says."""

    base_url: str
    api_key: Secret
    admin_token: Secret


async def ensure_credentials(
    home: Path, base_url: str, keys: KeyStore, identity: Identity, clock: Clock
) -> tuple[Credentials, bool]:
    """Return the home's credentials and whether they were made now; the file's address is kept up to date.

    When the file was lost, new credentials are made: what is stored cannot be shown again.
    """
    file = home / FILE_NAME
    known = _read(file) if file.exists() else None
    if known is not None:
        credentials = Credentials(base_url, known.api_key, known.admin_token)
        if known.base_url != base_url:
            _write(file, credentials)
        return credentials, False
    admin = identity.mint(NewKey("admin", Role.ADMIN, OPERATOR_ACCOUNT, None), clock.unix_micros())
    first = identity.mint(NewKey("first", Role.KEY, FIRST_ACCOUNT, None), clock.unix_micros())
    await keys.add(admin.key)
    await keys.add(first.key)
    credentials = Credentials(base_url, first.text, admin.text)
    _write(file, credentials)
    return credentials, True


def _read(file: Path) -> Credentials:
    try:
        fields = decode_object(file.read_bytes())
        texts = [fields[name] for name in ("base_url", "api_key", "admin_token")]
    except (OSError, KeyError) as error:
        raise _unreadable(file, str(error)) from error
    if not all(isinstance(text, str) for text in texts):
        raise _unreadable(file, "a field is not a text")
    base_url, api_key, admin_token = (str(text) for text in texts)
    return Credentials(base_url, Secret(api_key), Secret(admin_token))


def _write(file: Path, credentials: Credentials) -> None:
    body = encode(
        {
            "base_url": credentials.base_url,
            "api_key": credentials.api_key.reveal(),
            "admin_token": credentials.admin_token.reveal(),
        }
    )
    fresh = file.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(body + b"\n")
        handle.flush()
        os.fsync(handle.fileno())
    fresh.replace(file)


def _unreadable(file: Path, why: str) -> HomeUnusable:
    return HomeUnusable(f"{file} cannot be read ({why}). Mend it, or move it away: new credentials are made then.")
