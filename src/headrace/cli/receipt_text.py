"""Lays a receipt out for a terminal; pure text of what the receipt says, nothing computed but sums for display."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from types import MappingProxyType

from headrace.cli.replies import dollars, moment, number, part, parts, text
from headrace.cli.routing_text import excluded_of, routing_lines, saved_words
from headrace.domain.json_value import JsonObject
from headrace.domain.usage import INPUT_CLASSES, OUTPUT_CLASSES, TokenClass, UnitClass

LABEL = 13
LEFT = 38
WIDTH = 80
DIGEST = "sha256:"
ENDINGS: Mapping[str, str] = MappingProxyType(
    {
        "complete": "ok",
        "client_closed": "caller left",
        "slow_reader": "caller read too slowly",
        "upstream_truncated": "broke off",
        "upstream_stalled": "stalled",
        "upstream_error": "failed midway",
        "recovered": "cut off by a crash, settled after",
    }
)
CLASS_WORDS: Mapping[str, str] = MappingProxyType(
    {
        TokenClass.INPUT_FRESH.value: "prompt",
        TokenClass.INPUT_CACHE_READ.value: "prompt, cached",
        TokenClass.INPUT_CACHE_WRITE_5M.value: "prompt, cached for 5 min",
        TokenClass.INPUT_CACHE_WRITE_1H.value: "prompt, cached for 1 h",
        TokenClass.OUTPUT_TEXT.value: "completion",
        TokenClass.OUTPUT_REASONING.value: "reasoning",
        TokenClass.INPUT_AUDIO.value: "audio heard",
        TokenClass.INPUT_AUDIO_CACHE_READ.value: "audio heard, cached",
        TokenClass.INPUT_IMAGE.value: "images seen",
        TokenClass.INPUT_IMAGE_CACHE_READ.value: "images seen, cached",
        TokenClass.OUTPUT_AUDIO.value: "audio spoken",
        TokenClass.OUTPUT_IMAGE.value: "images drawn",
        UnitClass.CALL.value: "call",
        UnitClass.IMAGE.value: "images",
        UnitClass.SEARCH.value: "searches",
        UnitClass.CHARACTER.value: "characters",
        UnitClass.SECOND.value: "seconds of audio",
    }
)


def receipt_text(receipt: JsonObject) -> str:
    """Return the receipt in lines of at most 80 columns, as far as names and ids allow."""
    attempts = parts(receipt, "attempts")
    served = [each for each in attempts if text(each, "state") == "settled"]
    lines = [_head(receipt), _asked(receipt, served)]
    routing = part(receipt, "routing")
    if routing:
        lines += routing_lines(routing)
    elif receipt.get("route"):
        lines.append(_row("route", text(receipt, "route")))
    told = {(text(each, "model"), text(each, "provider")) for each in excluded_of(routing)}
    for excluded in parts(receipt, "excluded"):
        if (text(excluded, "model"), text(excluded, "provider")) not in told:
            lines += _left_out(excluded)
    for index, attempt in enumerate(attempts, start=1):
        lines += _attempt(index, attempt)
    for attempt in served:
        lines += _account(attempt)
    lines.append(_total(receipt))
    return "\n".join(lines)


def _head(receipt: JsonObject) -> str:
    key = part(receipt, "key")
    status = text(receipt, "status", "under way")
    owner = f'key "{text(key, "name")}" (account {text(receipt, "account")})'
    first = f"{text(receipt, 'id')}   {status}   {moment(text(receipt, 'created_at'))}"
    joined = f"{first}   {owner}"
    return joined if len(joined) <= WIDTH else f"{first}\n{_row('paid by', owner)}"


def _asked(receipt: JsonObject, served: Sequence[JsonObject]) -> str:
    asked = text(receipt, "requested_model")
    server = text(receipt, "served_by")
    if not server:
        return _row("asked for", f"{asked}   (nothing served it)")
    lines = [_row("asked for", asked)]
    timing = [each for attempt in served[-1:] for each in _timing(attempt)]
    lines.append(_row("served by", "   ".join([server, ", ".join(timing)]).rstrip()))
    return "\n".join(lines)


def _timing(attempt: JsonObject) -> list[str]:
    found: list[str] = []
    for name, word in (("duration_seconds", ""), ("first_event_seconds", "first token ")):
        value = attempt.get(name)
        if isinstance(value, int | float):
            found.append(f"{word}{value:.2f} s")
    return found


def _left_out(excluded: JsonObject) -> list[str]:
    who = " · ".join(name for name in (text(excluded, "model"), text(excluded, "provider")) if name)
    why = wrap(text(excluded, "reason"), WIDTH - LABEL)
    return [_row("left out", f"{who.ljust(LEFT)}  {text(excluded, 'code')}"), *(_row("", line) for line in why)]


def _attempt(index: int, attempt: JsonObject) -> list[str]:
    who = f"{text(attempt, 'model')} · {text(attempt, 'provider')}"
    lines = [_row(f"attempt {index}", f"{who.ljust(LEFT)}  {_ending(attempt)}")]
    money = dollars(number(attempt, "charge_nano_usd"))
    lines[0] = f"{lines[0]}   {money}"
    identity = text(attempt, "identity")
    if identity.startswith(DIGEST):
        lines.append(_row("  sha256", identity.removeprefix(DIGEST)))
    elif identity and identity != text(attempt, "model"):
        lines.append(_row("  upstream", identity))
    if attempt.get("possible_upstream_spend"):
        lines.append(_row("", "the upstream may bill this attempt all the same"))
    return lines


def _ending(attempt: JsonObject) -> str:
    state = text(attempt, "state")
    if state == "settled":
        ending = text(attempt, "ending")
        return ENDINGS.get(ending, ending)
    if state == "voided":
        what = text(attempt, "upstream_status") or text(attempt, "error_code", "not sent")
        duration = attempt.get("duration_seconds")
        return f"{what} after {duration:.2f} s" if isinstance(duration, int | float) else what
    return f"{state}, at most {dollars(number(attempt, 'bound_nano_usd'))}"


def _account(attempt: JsonObject) -> list[str]:
    usage, price = part(attempt, "usage"), part(attempt, "price")
    lines: list[str] = []
    if usage:
        lines.append(_row("tokens", _tokens(usage)))
    if price:
        lines.append(_row("price", text(price, "version")))
    for line in parts(attempt, "lines"):
        kind = text(line, "kind")
        each, per_million = text(line, "price_usd_each"), text(line, "price_usd_per_mtok")
        price_of_one = f"${each} each" if each else f"${per_million}/M"
        what = f"{number(line, 'quantity'):,} {CLASS_WORDS.get(kind, kind)} at {price_of_one}"
        lines.append(_row("", f"{what.ljust(LEFT)}  {dollars(number(line, 'charge_nano_usd'))}"))
    return lines + _replica(part(attempt, "replica"))


def _replica(share: JsonObject) -> list[str]:
    seconds = share.get("seconds")
    if not isinstance(seconds, int | float):
        return []
    what = f"{seconds:,.3f} s of its time".ljust(LEFT)
    return [
        _row("replica", f"{what}  {dollars(number(share, 'share_nano_usd'))}"),
        _row("", "paid with the deployment's hours, not charged here"),
    ]


def _tokens(usage: JsonObject) -> str:
    prompt = sum(number(usage, each.value) for each in INPUT_CLASSES)
    output = sum(number(usage, each.value) for each in OUTPUT_CLASSES)
    cached, reasoning = (
        number(usage, each.value) for each in (TokenClass.INPUT_CACHE_READ, TokenClass.OUTPUT_REASONING)
    )
    found = [f"prompt {prompt:,}" + (f" (cached {cached:,})" if cached else "")]
    if output:
        found.append(f"completion {output:,}" + (f" (reasoning {reasoning:,})" if reasoning else ""))
    if usage.get("estimated"):
        found.append("counted by Headrace: the upstream did not say")
    if usage.get("anomaly"):
        found.append(text(usage, "anomaly"))
    return " · ".join(found)


def _total(receipt: JsonObject) -> str:
    cost, charge = (dollars(number(receipt, f"{name}_nano_usd")) for name in ("cost", "charge"))
    saved = saved_words(receipt)
    line = _row("cost", f"{cost}        charge  {charge}")
    if len(line) + len(saved) + 6 <= WIDTH:
        return f"{line}      {saved}".rstrip()
    return f"{line}\n{_row('', saved)}"


def _row(label: str, value: str) -> str:
    return f"{label.ljust(LABEL)}{value}".rstrip()
