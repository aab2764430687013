"""The library: kinds of requests with prompts of our own, against which every prompt and task is compared."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

FOLDER = "routing"
FILE = "library.toml"


@dataclass(frozen=True, slots=True)
class LibraryTask:
    """A kind of request: its name, a description, and a few prompts."""

    name: str
    description: str
    prompts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Library:
    """All kinds; `digest` is that of the text."""

    tasks: tuple[LibraryTask, ...]
    digest: str


def shipped(name: str) -> Path:
    """Return the path of a file in the package's routing folder."""
    return Path(str(resources.files("headrace.catalog").joinpath(FOLDER, name)))


def shipped_text(name: str) -> str:
    """Return the text of such a file."""
    return shipped(name).read_text("utf-8")


def read_library(text: str) -> Library:
    """Return the library of a TOML text."""
    rows = tomllib.loads(text)["task"]
    tasks = tuple(LibraryTask(str(row["name"]), str(row["description"]), tuple(row["prompts"])) for row in rows)
    return Library(tasks, hashlib.sha256(text.encode()).hexdigest())
