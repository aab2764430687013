"""Runs every check of `make check` and says which failed; the rules themselves live elsewhere."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tools.source_files import CODE, text_files

ROOT = Path(__file__).resolve().parent.parent
PROSE = frozenset({".md", ".py", ".toml"})


def steps() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return each check's name and command line."""
    bin_dir = Path(sys.executable).parent
    code = tuple(name for name in CODE if (ROOT / name).is_dir())
    prose = (name for name in text_files(ROOT) if Path(name).suffix in PROSE)
    return (
        ("format", (str(bin_dir / "ruff"), "format", "--check", "--quiet", "--diff", *code)),
        ("lint", (str(bin_dir / "ruff"), "check", "--quiet", "--output-format=concise", *code)),
        ("imports", (str(bin_dir / "lint-imports"), "--no-logo")),
        ("shape", (sys.executable, "-m", "tools.check_shape")),
        ("generated files", (sys.executable, "-m", "tools.generate", "--check")),
        ("spelling", (str(bin_dir / "codespell"), *prose)),
        ("types", (str(bin_dir / "basedpyright"), "--warnings")),
    )


def run_step(name: str, command: tuple[str, ...], environment: dict[str, str]) -> bool:
    """Run one check, print its line and, when it failed, what it said."""
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603 - fixed command lines from steps()
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    passed = done.returncode == 0
    sys.stdout.write(f"{'ok    ' if passed else 'FAILED'}  {name}  {time.monotonic() - started:.1f} s\n")
    if not passed:
        sys.stdout.write("".join(f"    {line}\n" for line in done.stdout.splitlines()))
    sys.stdout.flush()
    return passed


def main() -> int:
    """Run all checks, even after a failure, and return the exit status."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}  # noqa: TID251 - passed on, not read
    failed = [name for name, command in steps() if not run_step(name, command, environment)]
    if failed:
        sys.stdout.write(f"\nmake check failed: {', '.join(failed)}. `make fmt` repairs format and simple lint.\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
