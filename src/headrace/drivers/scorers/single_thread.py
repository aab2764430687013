"""Keeps numpy's own threads out of decisions: on a busy machine waiting for them costs more than they save."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from pathlib import Path

import numpy as np

# As the wheel of numpy 2.3 for Linux carries it; where it is named otherwise nothing is changed.
LIBRARIES = "*openblas*"
SETTERS = ("scipy_openblas_set_num_threads64_", "openblas_set_num_threads64_", "openblas_set_num_threads")


def compute_in_one_thread() -> bool:
    """Let array products of this process run in the thread that asks; returns whether the library could be told."""
    libraries = (Path(np.__file__).parents[1] / "numpy.libs").glob(LIBRARIES)
    return any(_tell(path) for path in libraries)


def _tell(path: Path) -> bool:
    with suppress(OSError):
        library = ctypes.CDLL(str(path))
        setter = next((name for name in SETTERS if hasattr(library, name)), None)
        if setter is not None:
            getattr(library, setter)(1)
            return True
    return False
