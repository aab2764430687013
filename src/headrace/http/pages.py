"""How the public contract tells of other pages of a list: links by `page` and `per_page`."""

from __future__ import annotations

from headrace.domain.json_value import JsonObject


def page_links(
    path: str, number: int, pages: int, limit: int, chosen: str = "", previous: str = "previous"
) -> JsonObject:
    """Return the links to other pages; `chosen` is the rest of the query string, each field with its `&`.

    `previous` is the word for the page before, for which the contract has two.
    """

    def link(page: int) -> str:
        return f"{path}?page={page}&per_page={limit}{chosen}"

    links: JsonObject = {}
    if number > 1:
        links |= {"first": link(1), previous: link(min(number - 1, pages))}
    if number < pages:
        links |= {"next": link(number + 1), "last": link(pages)}
    return links
