"""Lays a break-even report out for a terminal: the answer, each figure with its formula, each input with its source."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from headrace.cli.replies import number, parts, text, words
from headrace.cli.session import columns
from headrace.domain.breakeven import usd
from headrace.domain.json_value import JsonObject

WIDTH = 100
HEADER = ("  WITH", "AT", "DEDICATED", "SERVERLESS", "BREAK-EVEN requests/h")
RIGHT = frozenset({1, 2, 3, 4})
NEVER = "never"


def breakeven_text(report: JsonObject) -> str:
    """Return the report in lines; pure text of what the server answered."""
    blocks = [textwrap.fill(text(report, "answer"), WIDTH)]
    blocks.append("\n".join(("figures", *_figures(parts(report, "figures")))))
    blocks.append("\n".join(("inputs", *_inputs(parts(report, "inputs")))))
    varied = parts(report, "sensitivity")
    if varied:
        blocks.append("\n".join(("sensitivity", columns([HEADER, *map(_variation, varied)], RIGHT))))
    notes = words(report.get("notes"))
    if notes:
        blocks.append("\n".join(("beware", *(_wrapped(each, "  - ") for each in notes))))
    return "\n\n".join(blocks)


def _figures(figures: list[JsonObject]) -> Iterator[str]:
    for each in figures:
        yield f"  {text(each, 'name')}  {_value(each)}"
        yield _wrapped(text(each, "formula"), "      = ")


def _inputs(inputs: list[JsonObject]) -> Iterator[str]:
    wide = max((len(text(each, "name")) for each in inputs), default=0)
    for each, following in zip(inputs, [*inputs[1:], None], strict=True):
        source = text(each, "source")
        yield f"  {text(each, 'name').ljust(wide)}  {_value(each)}"
        if following is None or text(following, "source") != source:
            yield _wrapped(source, " " * (wide + 4))


def _value(figure: JsonObject) -> str:
    value = figure.get("value")
    if value is None:
        return "none"
    unit = text(figure, "unit")
    shown = f"{value:,}" if isinstance(value, int) else str(value)
    return shown if unit == "name" else f"{shown} {unit}"


def _variation(varied: JsonObject) -> tuple[str, str, str, str, str]:
    found = varied.get("break_even_requests_per_hour")
    return (
        f"  {text(varied, 'input')}",
        text(varied, "change"),
        usd(number(varied, "dedicated_nano_usd")),
        usd(number(varied, "serverless_nano_usd")),
        f"{found:,}" if isinstance(found, int) else NEVER,
    )


def _wrapped(words_of: str, lead: str) -> str:
    return textwrap.fill(
        words_of, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False
    )
