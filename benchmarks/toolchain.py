"""Builds what a measurement needs: the two C programs and LiteLLM's own virtual environment."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import BenchError

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
REQUIREMENTS = HERE / "litellm.txt"
CFLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra")
INSTALL_SECONDS = 1200
BUILD_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Programs:
    """The compiled programs."""

    upstream: Path
    load_generator: Path


def run_command(command: Sequence[str], purpose: str, seconds: float) -> str:
    """Run a command to its end and return its standard output."""
    try:
        done = subprocess.run(  # noqa: S603 - command lines of this package
            command, capture_output=True, text=True, timeout=seconds, check=False, cwd=HERE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"cannot {purpose}: {error}") from error
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-15:])
        raise BenchError(f"cannot {purpose}: {command[0]} ended with {done.returncode}:\n{tail}")
    return done.stdout


def build_programs() -> Programs:
    """Compile the upstream and the load generator."""
    if sys.platform != "linux":
        raise BenchError("the bench programs use epoll and /proc: run make bench on Linux")
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchError(
            "make bench needs a C compiler named `cc` (only the bench does): install gcc or clang, "
            "on Debian `apt-get install gcc libc6-dev`"
        )
    BUILD.mkdir(exist_ok=True)
    programs = Programs(BUILD / "upstream", BUILD / "loadgen")
    for target in (programs.upstream, programs.load_generator):
        source = HERE / f"{target.name}.c"
        run_command((compiler, *CFLAGS, "-o", str(target), str(source)), f"compile {source.name}", BUILD_SECONDS)
    return programs


def install_litellm() -> Path:
    """Return the Python of LiteLLM's virtual environment, made and filled if it is not current."""
    home = BUILD / "litellm"
    python = home / "bin" / "python"
    stamp = home / "installed-requirements"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text(encoding="ascii") == digest:
        return python
    sys.stdout.write("installing LiteLLM's proxy into benchmarks/build (once)\n")
    sys.stdout.flush()
    run_command((sys.executable, "-m", "venv", "--clear", str(home)), "make a virtual environment", BUILD_SECONDS)
    pip = (str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes")
    run_command((*pip, "--requirement", str(REQUIREMENTS)), "install LiteLLM", INSTALL_SECONDS)
    stamp.write_text(digest, encoding="ascii")
    return python


def commit() -> str:
    """Return the commit that is measured, marked if the tree differs from it."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    try:
        name = run_command((git, "rev-parse", "--short=12", "HEAD"), "read the commit", BUILD_SECONDS).strip()
        changes = run_command((git, "status", "--porcelain"), "read the state of the tree", BUILD_SECONDS)
    except BenchError:
        return "unknown"
    return f"{name} with uncommitted changes" if changes.strip() else name
