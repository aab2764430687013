"""A router as a TOML file: the fields of the API, so that a mistake has a line whoever finds it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from headrace.cli.replies import part, parts, text, words
from headrace.domain.errors import ConfigInvalid, HeadraceError, InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.router_json import FIELDS, read_draft
from headrace.wire.toml_lines import KeyPath, key_lines, line_of
from headrace.wire.toml_text import value_text

MAX_BYTES = 1024 * 1024
_PLACE = re.compile(r"([^.\[\]]+)|\[(\d+)\]")
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


@dataclass(frozen=True, slots=True)
class RouterFile:
    """A file that was read: the body that it asks for, and its text to find lines in."""

    path: Path
    written: str
    body: JsonObject

    @property
    def name(self) -> str:
        """The router's name."""
        return text(self.body, "name")

    def told(self, error: HeadraceError) -> HeadraceError:
        """Return an error about a field as one about its line; other errors are returned as they are."""
        place = _key_path(error.param or "")
        is_ours = isinstance(error, InvalidRequest)
        if not is_ours and (not place or place[0] not in FIELDS):
            return error
        line = line_of(key_lines(self.written), place)
        return ConfigInvalid(
            f"{self.path}:{line}: {error.param}: {error.message}",
            code=error.code,
            param=error.param,
            extra={"file": str(self.path), "line": line},
        )


def read_router_file(path: Path) -> RouterFile:
    """Return what a file asks for; raises ConfigInvalid naming file, line and key of the first mistake."""
    written = _text_of(path)
    try:
        body = cast("JsonObject", tomllib.loads(written))
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))
        line = int(found[1]) if found is not None else written.count("\n") + 1
        raise ConfigInvalid(f"{path}:{line}: this is not TOML: {_AT_LINE.sub('', str(error))}.") from error
    file = RouterFile(path, written, body)
    try:
        draft = read_draft(body)
    except InvalidRequest as error:
        raise file.told(error) from error
    if not draft.name:
        raise ConfigInvalid(f'{path}:1: name: it is missing. Write name = "support" into the first line.', param="name")
    return file


def file_text(router: JsonObject) -> str:
    """Return the file that makes a router of a reply again."""
    return "\n".join(_lines(router)) + "\n"


def _lines(router: JsonObject) -> Iterator[str]:
    config = part(router, "config")
    yield f"name = {value_text(router.get('name'))}"
    for name in ("description", "min_score", "max_cost_usd"):
        if router.get(name) not in (None, ""):
            yield f"{name} = {value_text(router[name])}"
    yield f"fallback_models = {value_text(config.get('fallback_models'))}"
    shadow = part(router, "shadow")
    if shadow:
        yield f"shadow = {value_text({name: shadow[name] for name in sorted(shadow)})}"
    for policy in parts(config, "policies"):
        yield from _policy_lines(policy)


def _policy_lines(policy: JsonObject) -> Iterator[str]:
    yield "\n[[policies]]"
    if "task_slug" in policy:
        yield f"task_slug = {value_text(policy['task_slug'])}"
        yield from _example_lines(policy.get("examples"))
    yield f"models = {value_text(policy.get('models'))}"
    prefer = part(policy, "selection_policy").get("prefer")
    if prefer is not None:
        yield f"selection_policy = {value_text({'prefer': prefer})}"
    if "custom_task" in policy:
        task = part(policy, "custom_task")
        yield "\n[policies.custom_task]"
        yield f"name = {value_text(task.get('name'))}"
        yield f"description = {value_text(task.get('description'))}"
        yield from _example_lines(task.get("examples"))


def _example_lines(examples: JsonValue) -> Iterator[str]:
    found = words(examples)
    if found:
        yield "examples = ["
        yield from (f"    {value_text(each)}," for each in found)
        yield "]"


def _text_of(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(
            f"{path} cannot be read: {error.strerror}. Name a file as `headrace routers export` prints it."
        ) from error
    if len(raw) > MAX_BYTES:
        raise ConfigInvalid(f"{path} has {len(raw)} bytes; a router has at most {MAX_BYTES}.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigInvalid(f"{path}:{line}: this is not UTF-8: byte {error.start} is wrong.") from error


def _key_path(param: str) -> KeyPath:
    return tuple(int(number) if number else name for name, number in _PLACE.findall(param))
