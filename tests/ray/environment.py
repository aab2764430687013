"""The environment of the tests' Ray nodes below build/: Ray Serve and what Headrace needs, pinned and hashed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.compatibility.environments import INSTALL_SECONDS, ROOT, is_stale, keep

REQUIREMENTS = Path(__file__).with_name("requirements-ray.txt")
FOLDER = ROOT / "build" / "ray"


def ray_program() -> Path:
    """Return the `ray` command, installed when its requirements have changed."""
    if is_stale(FOLDER, REQUIREMENTS):
        python = FOLDER / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--clear", FOLDER], check=True, timeout=INSTALL_SECONDS)
        install = [python, "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--require-hashes"]
        subprocess.run([*install, "--requirement", REQUIREMENTS], check=True, timeout=INSTALL_SECONDS)
        keep(FOLDER, REQUIREMENTS)
    return FOLDER / "bin" / "ray"
