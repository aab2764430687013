"""Reads the address of a store from a setting or from the file that it names; never shows it."""

from __future__ import annotations

from pathlib import Path

from headrace.domain.errors import ConfigInvalid
from headrace.domain.secret import Secret

SCHEMES = ("postgresql://", "postgres://")
LARGEST_BYTES = 4096
HOW = "Write postgresql://USER@HOST/DATABASE, or the path of a file that holds such an address."


def read_store_address(text: str) -> Secret:
    """Return an address, read from its file when the text is a path; raises ConfigInvalid, which shows no address."""
    if text.startswith(SCHEMES):
        return Secret(text)
    if "://" in text:
        raise ConfigInvalid(f"The store's address does not begin with postgresql://. {HOW}", param="store")
    path = Path(text).expanduser()
    try:
        with path.open("rb") as file:
            held = file.read(LARGEST_BYTES).decode("utf-8").strip()
    except OSError as error:
        # An address in another form was taken for a path; it may hold a password.
        shown = "" if any(mark in text for mark in "@=") else f"{path}: "
        raise ConfigInvalid(f"{shown}the store's address cannot be read ({error.strerror}). {HOW}") from error
    except UnicodeDecodeError:
        held = ""
    if not held.startswith(SCHEMES):
        raise ConfigInvalid(f"{path}: does not hold the address of a store. {HOW}", param="store")
    return Secret(held)
