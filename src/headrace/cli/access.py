"""Which server to ask and with which credential; asking it is the client's.

A secret from HOME/credentials.json goes only to the address that the same file names.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from headrace.cli.environment import Environment
from headrace.cli.options import ClientFlags, home_of
from headrace.domain.errors import ConfigInvalid, OperatorError
from headrace.domain.secret import Secret

FILE_NAME = "credentials.json"
HOME_CA = Path("tls", "ca.pem")
DEFAULT_URL = "http://127.0.0.1:8080"
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
PORTS = (("http", 80), ("https", 443))
SECRET_BITS = stat.S_IRWXG | stat.S_IRWXO

Who: TypeAlias = Literal["key", "admin", "either"]
FROM_FLAG, FROM_ENVIRONMENT, FROM_FILE = 0, 1, 2


class CredentialsFile(Struct, frozen=True):
    """What HOME/credentials.json holds; more keys may stand in it."""

    base_url: str
    api_key: str | None = None
    admin_token: str | None = None


_CREDENTIALS = msgspec.json.Decoder(CredentialsFile)


@dataclass(frozen=True, slots=True)
class Credential:
    """A secret and where it came from, a smaller number meaning nearer to the command."""

    secret: Secret
    source: int


@dataclass(frozen=True, slots=True)
class Access:
    """A server's address, what may be shown to it, and the authority to trust beside the machine's own.

    `is_unknown` says that nothing named the server, so that its address is the default, `is_of_home` that the file in
    the home names it.
    """

    url: str
    api_key: Credential | None
    admin_token: Credential | None
    ca: Path | None
    home: Path
    is_unknown: bool = False
    is_of_home: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        return urlsplit(self.url).hostname in LOOPBACK

    @property
    def is_here(self) -> bool:
        """Whether the server is this home's, as far as its address tells."""
        return self.is_loopback or self.is_of_home

    def secret(self, who: Who) -> str:
        """Return the credential for a call; raises OperatorError saying how to give one."""
        found = {"key": self._key, "admin": self._admin, "either": self._either}[who]()
        if found is None and self.is_unknown:
            raise OperatorError(
                f"nothing was started here yet: there is no {self.home / FILE_NAME}. "
                "Start it with `headrace serve`, or set HEADRACE_URL and HEADRACE_API_KEY.",
                code="not_started",
            )
        if found is None:
            variable, word = ("HEADRACE_ADMIN_TOKEN", "admin token") if who == "admin" else ("HEADRACE_API_KEY", "key")
            raise OperatorError(
                f"there is no {word} for {self.url}. "
                f"Set {variable}, or run this where {self.home / FILE_NAME} names that server.",
                code="no_credential",
            )
        return found.secret.reveal()

    def _key(self) -> Credential | None:
        return self.api_key or self.admin_token

    def _admin(self) -> Credential | None:
        return self.admin_token

    def _either(self) -> Credential | None:
        """The admin token sees more, unless a key was given more explicitly."""
        if self.api_key is not None and self.admin_token is not None:
            return self.api_key if self.api_key.source < self.admin_token.source else self.admin_token
        return self.admin_token or self.api_key


def access_of(flags: ClientFlags, environment: Environment) -> Access:
    """Return the access that flags, environment and HOME/credentials.json come to; raises OperatorError."""
    home = home_of(flags.home, environment)
    named = flags.url or environment.text("url")
    api_key = _given(flags.api_key, environment.text("api_key"))
    admin_token = _given(flags.admin_token, environment.text("admin_token"))
    ca = flags.ca or environment.path("ca")
    url = _clean_url(named) if named is not None else None
    file = None
    if url is None or api_key is None or admin_token is None:
        file = _read_credentials(home / FILE_NAME)
    is_of_home = file is not None and (url is None or _origin(url) == _origin(_clean_url(file.base_url)))
    if file is not None and is_of_home:
        url = url or _clean_url(file.base_url)
        api_key = api_key or _from_file(file.api_key)
        admin_token = admin_token or _from_file(file.admin_token)
        home_ca = home / HOME_CA
        if ca is None and url.startswith("https:") and home_ca.is_file():
            ca = home_ca
    return Access(url or DEFAULT_URL, api_key, admin_token, ca, home, url is None, is_of_home)


def _given(flag: str | None, variable: str | None) -> Credential | None:
    if flag:
        return Credential(Secret(_checked(flag)), FROM_FLAG)
    return Credential(Secret(_checked(variable)), FROM_ENVIRONMENT) if variable else None


def _from_file(text: str | None) -> Credential | None:
    return Credential(Secret(_checked(text)), FROM_FILE) if text else None


def _checked(secret: str) -> str:
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigInvalid("the given key holds characters that no key has. Copy it again, without spaces or quotes.")
    return secret


def _read_credentials(path: Path) -> CredentialsFile | None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OperatorError(f"{path} cannot be read ({error.strerror}). Run this as the user that owns it.") from error
    with open(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        data = file.read(64 * 1024)
    if mode & SECRET_BITS:
        raise OperatorError(
            f"{path} is open to others (mode {mode:04o}). Run: chmod 600 {path}", code="credentials_exposed"
        )
    try:
        return _CREDENTIALS.decode(data)
    except msgspec.DecodeError as error:
        raise OperatorError(f"{path} is damaged ({error}). Restore it, or set HEADRACE_URL and its keys.") from error


def _clean_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None and parts.port != 0
        )
    except ValueError:
        usable = False
    if not usable:
        raise ConfigInvalid(f'"{text}" is not the address of a server. Write it like http://127.0.0.1:8080.')
    return text.rstrip("/").removesuffix("/v1").rstrip("/")


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    host = "loopback" if parts.hostname in LOOPBACK else parts.hostname or ""
    return parts.scheme, host, parts.port or dict(PORTS)[parts.scheme]
