"""An environment of its own for every foreign client, below build/, made from its pinned and hashed requirements."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.compatibility.matrix import HERE

ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "compatibility"
INSTALL_SECONDS = 900


def python_environment(name: str) -> Path:
    """Return the interpreter of a client's environment, made when its requirements have changed."""
    requirements = HERE / f"requirements-{name}.txt"
    folder = BUILD / name
    python = folder / "bin" / "python"
    if is_stale(folder, requirements):
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, timeout=INSTALL_SECONDS)
        install = [python, "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--require-hashes"]
        subprocess.run([*install, "--requirement", requirements], check=True, timeout=INSTALL_SECONDS)
        keep(folder, requirements)
    return python


def node_program(name: str) -> Path:
    """Return a program of the npm clients, beside its packages, installed when the lock has changed."""
    folder, lock = BUILD / "ai", HERE / "package-lock.json"
    folder.mkdir(parents=True, exist_ok=True)
    if is_stale(folder, lock):
        for each in ("package.json", "package-lock.json"):
            shutil.copy(HERE / each, folder / each)
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(install, cwd=folder, check=True, timeout=INSTALL_SECONDS)
        keep(folder, lock)
    shutil.copy(HERE / "clients" / "node_probe.mjs", folder)
    return Path(shutil.copy(HERE / "clients" / f"{name}_client.mjs", folder))


def versions() -> Mapping[str, str]:
    """Return what is pinned, by name."""
    pinned = [line.split("==") for each in sorted(HERE.glob("requirements-*.in")) for line in each.read_text().split()]
    npm: dict[str, str] = json.loads((HERE / "package.json").read_text())["dependencies"]
    python = {name: version for name, version, *_ in pinned}
    return {**python, **{f"{name} (npm)" if name in python else name: version for name, version in npm.items()}}


def is_stale(folder: Path, lock: Path) -> bool:
    """Tell whether an environment was made from another lock, or not to the end."""
    stamp = folder / ".made-from"
    return not stamp.exists() or stamp.read_text() != digest(lock)


def keep(folder: Path, lock: Path) -> None:
    """Remember what an environment was made from."""
    (folder / ".made-from").write_text(digest(lock))


def digest(lock: Path) -> str:
    """Return the hash of a file of pinned requirements."""
    return hashlib.sha256(lock.read_bytes()).hexdigest()
