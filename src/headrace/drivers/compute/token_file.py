"""Reads a compute driver's token from the operator's file; what the token opens is the driver's to know."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.errors import DriverUnusable
from headrace.domain.secret import Secret


def read_token(path: Path, setting: str) -> Secret:
    """Return the token that a file has now; raises DriverUnusable naming the file and its setting, never the content.

    What is no single printable word is refused: a client's complaint about it would repeat it.
    """
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DriverUnusable(
            f"{path} cannot be read as a token ({why}). Set {setting} in [drivers] of headrace.toml to a readable file."
        ) from None
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise DriverUnusable(f"{path} holds no token. Put the token of {setting}, and nothing else, into it.")
    return Secret(text)
