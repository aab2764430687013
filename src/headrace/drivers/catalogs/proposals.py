"""Proposed prices in a folder that no catalog is read from, and the operator's file that reviewed ones go to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from headrace.domain.errors import ConfigInvalid

FOLDER = "proposals"


def write_proposals(catalog: Path, day: str, texts: Mapping[str, str]) -> tuple[Path, ...]:
    """Write each provider's proposal to proposals/DAY/PROVIDER.toml; raises ConfigInvalid when one is there already."""
    folder = catalog / FOLDER / day
    paths = {folder / f"{provider}.toml": text for provider, text in texts.items()}
    there = next((path for path in paths if path.exists()), None)
    if there is not None:
        raise ConfigInvalid(f"{there} is there already. Apply it, or delete it, and import again.")
    for path, text in paths.items():
        replace_file(path, text)
    return tuple(paths)


def replace_file(path: Path, text: str) -> None:
    """Write a file so that it appears whole or not at all; raises ConfigInvalid when it cannot be written."""
    draft = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be written ({error.strerror}). Make its folder writable.") from error
