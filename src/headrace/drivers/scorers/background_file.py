"""The background on disk: made once on this machine, kept in the home, made anew when it is damaged or outdated."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np

from headrace.drivers.scorers.background import RECIPE, Background, background_of, owners
from headrace.drivers.scorers.library import Library
from headrace.drivers.scorers.vectors import WIDTH, Floats


def background_path(home: Path, library: Library, encoder: str) -> Path:
    """Return where the background of a library and an encoder is kept; `encoder` names the encoder's file."""
    name = hashlib.sha256(f"{library.digest}\n{encoder}\n{RECIPE}".encode()).hexdigest()[:16]
    return home / "encoders" / f"routing-{name}.npz"


def read_background(path: Path, library: Library) -> Background | None:
    """Return the kept background, or None when there is none or it cannot be used."""
    owner = owners(library)
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            prompts, tasks, adapter = (np.asarray(file[name], np.float32) for name in ("prompts", "tasks", "adapter"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    shapes = (prompts.shape, tasks.shape, adapter.shape)
    expected = ((len(owner), WIDTH), (len(library.tasks), WIDTH), (WIDTH, WIDTH))
    if shapes != expected or not all(map(_is_finite, (prompts, tasks, adapter))):
        return None
    return background_of(prompts, owner, tasks, adapter)


def write_background(path: Path, background: Background) -> None:
    """Keep a background, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, prompts=background.prompts, tasks=background.tasks, adapter=background.adapter)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _is_finite(values: Floats) -> bool:
    return bool(np.isfinite(values).all())
