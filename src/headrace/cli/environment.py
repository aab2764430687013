"""Reads the process environment, the only module that does; what a setting means is decided in options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

from headrace.domain.errors import ConfigInvalid

PREFIX = "HEADRACE_"
VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "home": "HEADRACE_HOME",
        "host": "HEADRACE_HOST",
        "port": "HEADRACE_PORT",
        "config": "HEADRACE_CONFIG",
        "store": "HEADRACE_STORE",
        "tls": "HEADRACE_TLS",
        "tls_cert": "HEADRACE_TLS_CERT",
        "tls_key": "HEADRACE_TLS_KEY",
        "allowed_host": "HEADRACE_ALLOWED_HOST",
        "cors_origin": "HEADRACE_CORS_ORIGIN",
        "webhook_host": "HEADRACE_WEBHOOK_HOST",
        "idempotency": "HEADRACE_IDEMPOTENCY",
        "response_cache": "HEADRACE_RESPONSE_CACHE",
        "pull": "HEADRACE_PULL",
        "log": "HEADRACE_LOG",
        "url": "HEADRACE_URL",
        "api_key": "HEADRACE_API_KEY",
        "admin_token": "HEADRACE_ADMIN_TOKEN",
        "ca": "HEADRACE_CA",
        "json": "HEADRACE_JSON",
    }
)
YES = frozenset({"1", "true", "yes", "on"})
NO = frozenset({"0", "false", "no", "off"})


def snapshot() -> Mapping[str, str]:
    """Return the environment as it is now, for whoever needs a variable that the catalog names."""
    return MappingProxyType(dict(os.environ))  # noqa: TID251 - the one reader of the environment


class Environment:
    """Typed look-ups of the variables of flags; a variable that is set to nothing counts as not set."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, flag: str) -> str | None:
        """Return the variable of a flag, or None."""
        return self._variables.get(VARIABLES[flag], "").strip() or None

    def path(self, flag: str) -> Path | None:
        """Return the variable as a path, `~` expanded, or None."""
        text = self.text(flag)
        return Path(text).expanduser() if text is not None else None

    def number(self, flag: str) -> int | None:
        """Return the variable as a whole number, or None; raises ConfigInvalid."""
        text = self.text(flag)
        if text is None:
            return None
        if not text.isascii() or not text.isdecimal():
            self._refuse(flag, text, "a whole number, like 8080")
        return int(text)

    def switch(self, flag: str) -> bool | None:
        """Return the variable as yes or no, or None; raises ConfigInvalid."""
        text = self.text(flag)
        if text is None:
            return None
        if text.lower() in YES | NO:
            return text.lower() in YES
        return self._refuse(flag, text, "1 or 0")

    def names(self, flag: str) -> tuple[str, ...] | None:
        """Return the variable's comma-separated parts, or None."""
        text = self.text(flag)
        return split_names(text) if text is not None else None

    def choice(self, flag: str, allowed: tuple[str, ...]) -> str | None:
        """Return the variable when it is one of the allowed words, or None; raises ConfigInvalid."""
        text = self.text(flag)
        if text is not None and text not in allowed:
            self._refuse(flag, text, " or ".join(allowed))
        return text

    @staticmethod
    def _refuse(flag: str, text: str, wanted: str) -> NoReturn:
        name = VARIABLES[flag]
        raise ConfigInvalid(f'{name} is "{text}". Set it to {wanted}, or unset it.', param=name)


def split_names(text: str) -> tuple[str, ...]:
    """Return the non-empty parts of a comma-separated list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
