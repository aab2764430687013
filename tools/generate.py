"""Writes the generated files named in pyproject.toml, or checks that they are up to date."""

import difflib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def generators(root: Path) -> dict[str, list[str]]:
    """Return generated path -> arguments of `python -m`, from `[tool.headrace.generated]`."""
    with (root / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)["tool"]["headrace"]["generated"]


def produce(root: Path, arguments: list[str]) -> str:
    """Return what a generator writes to standard output; its failure is ours."""
    environment = os.environ | {"PYTHONPATH": str(root / "src")}  # noqa: TID251 - passed on, not read
    done = subprocess.run(  # noqa: S603 - arguments come from pyproject.toml
        [sys.executable, "-m", *arguments],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def difference(path: str, old: str, new: str) -> str:
    """Return a unified diff, empty when nothing changed."""
    return "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), path, f"{path} (generated)"))


def main(arguments: list[str]) -> int:
    """Write every generated file; with `--check` only report those that are stale."""
    stale = 0
    for path, command in generators(ROOT).items():
        target = ROOT / path
        old = target.read_text() if target.exists() else ""
        new = produce(ROOT, command)
        if "--check" not in arguments:
            target.write_text(new)
        elif old != new:
            stale += 1
            sys.stdout.write(f"{path} is stale: run `make generate`.\n{difference(path, old, new)}")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
