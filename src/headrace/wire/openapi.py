"""What a route says of itself, and the OpenAPI 3.1 document made of it; which routes there are is http's.

Every shape is a msgspec type, from which its JSON Schema is generated.
Source: OpenAPI Specification 3.1.1 (read 2026-11-25).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal, TypeAlias, cast

from msgspec import Struct
from msgspec.json import schema_components

from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.error_codes import STATUSES
from headrace.wire.openapi_errors import OWN_ENDPOINT, error_shapes
from headrace.wire.openapi_words import (
    ANSWER_HEADERS,
    DESCRIPTION,
    HEADERS,
    REASONS,
    REQUEST_HEADERS,
    SECURITY,
    TAGS,
)

Shape: TypeAlias = Any
Access: TypeAlias = Literal["everybody", "own", "admin", "admin elsewhere"]
JSON = "application/json"
EVENTS = "text/event-stream"
EVERYWHERE = (400, 408, 421, 431, 500, 503)
_PART = re.compile(r"\{(\w+)(:path)?\}")


@dataclass(frozen=True, slots=True)
class Entry:
    """What one route says of itself: what it does, what it gives and takes, and how it may fail.

    `gives` is the shape of the JSON reply (several: one of them), `takes` that of the JSON body, `asks` a type whose
    fields are the query string. `fails` are statuses beside those that follow from the route's kind. `media` are the
    types of the reply, `sends` the names of headers that it carries, `reads` those of headers of the request.
    """

    does: str
    gives: Shape | tuple[Shape, ...] = ()
    takes: Shape | None = None
    asks: type[Struct] | None = None
    statuses: tuple[int, ...] = (200,)
    fails: tuple[int, ...] = ()
    media: tuple[str, ...] = (JSON,)
    sends: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def replies(self) -> tuple[Shape, ...]:
        """The shapes of the JSON reply."""
        return cast("tuple[Shape, ...]", self.gives) if isinstance(self.gives, tuple) else (self.gives,)


@dataclass(frozen=True, slots=True)
class Described:
    """One route with its entry; `path` is a template whose parts may read `{name:path}`."""

    method: str
    path: str
    access: Access
    entry: Entry


def document(routes: Sequence[Described], version: str) -> JsonObject:
    """Return the document of these routes."""
    shapes = list(dict.fromkeys(shape for route in routes for shape in _shapes(route)))
    found, components = schema_components(shapes, ref_template="#/components/schemas/{name}")
    writer = _Writer(dict(zip(shapes, found, strict=True)))
    paths: dict[str, JsonObject] = {}
    for route in routes:
        item = paths.setdefault(_PART.sub(r"{\1}", route.path), {})
        item[route.method.lower()] = writer.operation(route)
    schemas = {name: _opened(components[name]) for name in sorted(components)}
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Headrace",
            "version": version,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": says} for name, says in TAGS.items()],
        "paths": dict[str, JsonValue](paths),
        "components": {
            "schemas": dict[str, JsonValue](schemas),
            "responses": writer.responses,
            "headers": dict(HEADERS),
            "parameters": dict(REQUEST_HEADERS),
            "securitySchemes": dict(SECURITY),
        },
        "x-headrace-error-codes": {code: list[JsonValue](statuses) for code, statuses in STATUSES.items()},
    }


def parts_of(path: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a path's template, and whether one may hold slashes."""
    for name, is_rest in _PART.findall(path):
        yield name, bool(is_rest)


def failures_of(route: Described) -> tuple[int, ...]:
    """Return every status below which a route may tell of an error."""
    found = {*EVERYWHERE, *route.entry.fails}
    if route.access != "everybody":
        found.add(401)
    # A deployment's own endpoint refuses the tokens of others.
    if route.access.startswith("admin") or route.path.startswith(OWN_ENDPOINT):
        found.add(403)
    if any(parts_of(route.path)):
        found.add(404)
    if route.entry.takes is not None:
        found |= {413, 415}
    if "if-match" in route.entry.reads:
        found.add(409)
    return tuple(sorted(found))


class _Writer:
    """Writes operations whose shapes are components by now, and gathers the replies that they share."""

    def __init__(self, schemas: Mapping[Shape, dict[str, Any]]) -> None:
        self._schemas = schemas
        self.responses: dict[str, JsonValue] = {}

    def operation(self, route: Described) -> JsonObject:
        """Return one operation."""
        entry = route.entry
        operation: JsonObject = {
            "operationId": _operation_id(route),
            "summary": entry.does,
            "tags": [_tag(route.path)],
            "security": _security(route.access),
            "parameters": [*_path_parts(route.path), *self._query(entry), *_refs("parameters", entry.reads)],
        }
        if entry.takes is not None:
            operation["requestBody"] = {"required": True, "content": {JSON: {"schema": self._schemas[entry.takes]}}}
        operation["responses"] = {**self._answers(entry), **self._failures(route)}
        return operation

    def _query(self, entry: Entry) -> Iterator[JsonValue]:
        if entry.asks is None:
            return
        (_, tables) = schema_components([entry.asks])
        for name, schema in tables[entry.asks.__name__]["properties"].items():
            yield {"name": name, "in": "query", "required": False, "schema": schema}

    def _answers(self, entry: Entry) -> JsonObject:
        content: JsonObject = {
            media: {}
            if media == EVENTS
            else {"schema": self._any_of(entry.replies) if media == JSON else {"type": "string"}}
            for media in entry.media
        }
        headers = _headers(("x-request-id", "request-id", *entry.sends))
        answers: JsonObject = {
            str(status): {"description": _reason(status), "headers": headers, "content": content}
            for status in entry.statuses
        }
        if "if-none-match" in entry.reads:
            answers["304"] = {"description": _reason(304), "headers": _headers(("x-request-id", "etag"))}
        return answers

    def _failures(self, route: Described) -> JsonObject:
        failures: JsonObject = {}
        for status in failures_of(route):
            if status in route.entry.statuses:
                continue
            shapes = error_shapes(route.path, status)
            name = f"{'Or'.join(shape.__name__ for shape in shapes)}{status}"
            failures[str(status)] = {"$ref": f"#/components/responses/{name}"}
            if name not in self.responses:
                self.responses[name] = {
                    "description": _reason(status),
                    "headers": _headers(("x-request-id", "request-id", *ANSWER_HEADERS.get(status, ()))),
                    "content": {JSON: {"schema": self._any_of(shapes)}},
                }
        return failures

    def _any_of(self, shapes: Sequence[Shape]) -> JsonObject:
        found = [cast("JsonObject", self._schemas[shape]) for shape in shapes]
        return found[0] if len(found) == 1 else {"anyOf": list[JsonValue](found)}


def _shapes(route: Described) -> Iterator[Shape]:
    yield from route.entry.replies
    if route.entry.takes is not None:
        yield route.entry.takes
    for status in failures_of(route):
        yield from error_shapes(route.path, status)


def _path_parts(path: str) -> Iterator[JsonValue]:
    for name, is_rest in parts_of(path):
        schema: JsonObject = {"type": "string", "minLength": 1}
        if not is_rest:
            schema["pattern"] = "^[^/]+$"
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"The {name} of what is asked for.",
            "schema": schema,
        }


def _refs(kind: str, names: Iterable[str]) -> Iterator[JsonValue]:
    for name in names:
        yield {"$ref": f"#/components/{kind}/{name}"}


def _headers(names: Sequence[str]) -> JsonObject:
    return dict(zip(names, _refs("headers", names), strict=True))


def _security(access: Access) -> list[JsonValue]:
    keys: list[JsonValue] = [{name: list[JsonValue]()} for name in SECURITY]
    if access == "everybody":
        return []
    return [{}, *keys] if access == "admin elsewhere" else keys


def _reason(status: int) -> str:
    return REASONS.get(status, HTTPStatus(status).phrase)


def _tag(path: str) -> str:
    first = path.removeprefix(OWN_ENDPOINT).split("/")[1]
    return first if first in TAGS else "operations"


def _operation_id(route: Described) -> str:
    path = _PART.sub(r"by_\1", route.path)
    return re.sub(r"[^a-z0-9]+", "_", f"{route.method} {path}".lower()).strip("_")


def _opened(schema: dict[str, Any]) -> JsonObject:
    """Return a schema that says of an object what holds without saying: it may have further fields."""
    return schema if "additionalProperties" in schema else {**schema, "additionalProperties": True}
