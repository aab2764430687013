"""Lists that the server gives in pages, fetched whole; what stands in them is the verbs'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrace.cli.access import Who
from headrace.cli.client import ApiClient
from headrace.cli.replies import number, part, parts
from headrace.domain.json_value import JsonObject, JsonValue

PAGE_LIMIT = 200


def pages(client: ApiClient, path: str, who: Who, query: Mapping[str, str | int]) -> Iterator[JsonObject]:
    """Yield every page of a list, the first one first."""
    page, last = 1, 1
    while page <= last:
        reply = client.get(path, who, {"page": page, **query})
        yield reply
        page, last = page + 1, number(part(reply, "meta"), "pages")


def every_page(client: ApiClient, path: str, plural: str) -> JsonObject:
    """Return a list of the control plane as one reply; `plural` is the field that it stands in."""
    found: list[JsonValue] = []
    for reply in pages(client, path, "admin", {"per_page": PAGE_LIMIT}):
        found += parts(reply, plural)
    return {plural: found, "meta": {"total": len(found)}, "links": {"pages": {}}}
