"""Which files belong to the project; what is in them is no business of this module."""

import subprocess
from pathlib import Path

CODE = ("src", "tests", "tools", "examples", "benchmarks")
TEXT_NAMES = frozenset({"Makefile", "LICENSE", "NOTICE", "run"})
TEXT_SUFFIXES = frozenset(
    {
        ".c",
        ".cfg",
        ".css",
        ".h",
        ".html",
        ".ini",
        ".js",
        ".json",
        ".jsonl",
        ".md",
        ".py",
        ".pyi",
        ".sh",
        ".sql",
    }
    | {".toml", ".ts", ".tsx", ".txt", ".yaml", ".yml"}
)


def text_files(root: Path) -> list[str]:
    """Return the project's text files relative to `root`, sorted, without those that git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git is found on PATH
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return sorted(name for name in set(listed) if is_text(name) and (root / name).is_file())


def is_text(name: str) -> bool:
    """Tell by its name whether a file is text that people write."""
    path = Path(name)
    return path.suffix in TEXT_SUFFIXES or path.name in TEXT_NAMES
