"""`headrace models`: what can be called, what cannot and why, pulling weights; adding models is models_add's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from cyclopts import App, Parameter

from headrace.cli.client import ApiClient, event_object, open_client, segment
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.progress import PullProgress
from headrace.cli.replies import number, part, parts, size, text
from headrace.cli.session import Session, columns
from headrace.cli.verbs.models_add import add
from headrace.domain.errors import OperatorError
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import TokenClass
from headrace.ports.fleet import Progress

CATALOG = "/v2/gen-ai/models/catalog"
PAGE = 200
HEADER = ("MODEL", "TYPE", "PROVIDER", "CONTEXT", "IN $/M", "OUT $/M")
RIGHT = frozenset({3, 4, 5})


def models(
    *,
    all_models: Annotated[bool, Parameter(name="--all", negative="", show_default=False)] = False,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """List the models that can be called now.

    Parameters
    ----------
    all_models:
        Also list those that cannot, each with the reason and what to do.
    """
    with open_client(session, flags) as client:
        reply = _whole_catalog(client) if all_models else client.get("/v1/models", "key")
    if wants_json(flags.json, session.environment):
        session.say_json(reply)
    elif all_models:
        session.say(_catalog_text(parts(reply, "models")))
    else:
        session.say(_listed_text(parts(reply, "data")))
    return 0


def pull(
    model: str,
    /,
    *,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Download the weights of an embedded model, with progress; name, size and licence are told first.

    Parameters
    ----------
    model:
        The model, as `headrace models --all` shows it.
    """
    with open_client(session, flags) as client:
        last = _pull(client, model, session)
    if wants_json(flags.json, session.environment):
        session.say_json(last)
    else:
        session.say(f"{model} is here. Talk to it: headrace chat {model}")
    return 0


def _pull(client: ApiClient, model: str, session: Session) -> JsonObject:
    path = f"/v2/models/{segment(model)}/pull"
    with client.events(path, "admin") as events, PullProgress(session.stderr) as shown:
        for data in events.data:
            event = event_object(data)
            if event.get("done") is True:
                return event
            if "licence" in event:
                shown.announce(text(event, "name", model), number(event, "size_bytes"), text(event, "licence"))
            else:
                done, total = number(event, "done"), number(event, "total")
                shown(Progress(text(event, "what", model), done, total, text(event, "unit", "bytes")))
    raise OperatorError(
        f"the server stopped telling about {model} before it was there. Run the same command again: it goes on.",
        code="reply_broken",
    )


def _whole_catalog(client: ApiClient) -> JsonObject:
    found: list[JsonValue] = []
    page, pages = 1, 1
    reply: JsonObject = {}
    while page <= pages:
        reply = client.get(CATALOG, "either", {"page": page, "limit": PAGE})
        found.extend(parts(reply, "models"))
        pages = max(number(part(reply, "meta"), "pages"), 1)
        page += 1
    return {"models": found, "meta": {"total": len(found), "page": 1, "pages": 1}}


def _listed_text(entries: list[JsonObject]) -> str:
    if not entries:
        return "No model can be called now. What each one needs: headrace models --all"
    rows = [HEADER]
    rows += [_row(each, "id", "context_length", part(each, "prices_usd_per_mtok")) for each in entries]
    return columns(rows, RIGHT)


def _catalog_text(entries: list[JsonObject]) -> str:
    available = [each for each in entries if part(each, "availability").get("available")]
    blocks: list[str] = []
    if available:
        rows = [HEADER]
        rows += [_row(each, "model_id", "context_window", part(each, "prices")) for each in available]
        blocks.append(columns(rows, RIGHT))
    blocks += _unavailable_blocks([each for each in entries if each not in available])
    return "\n\n".join(blocks) if blocks else "The catalog is empty."


def _unavailable_blocks(entries: list[JsonObject]) -> Iterator[str]:
    """One block for each reason, so that a provider without a key is said once and not for each of its models."""
    groups: dict[tuple[str, str], list[JsonObject]] = {}
    for entry in entries:
        why = part(entry, "availability")
        groups.setdefault((text(why, "reason"), text(why, "fix")), []).append(entry)
    for (reason, fix), group in groups.items():
        names = "\n".join(f"  {_name(each)}{_weights(each)}" for each in group)
        yield f"Not available: {reason}\n  {fix}\n{names}"


def _row(entry: JsonObject, name: str, context: str, prices: JsonObject) -> tuple[str, str, str, str, str, str]:
    return (
        text(entry, name) or _name(entry),
        text(entry, "type"),
        text(entry, "provider").lower(),
        f"{number(entry, context):,}" if number(entry, context) else "",
        text(prices, TokenClass.INPUT_FRESH.value),
        text(prices, TokenClass.OUTPUT_TEXT.value),
    )


def _name(entry: JsonObject) -> str:
    return text(entry, "model_id") or text(entry, "id")


def _weights(entry: JsonObject) -> str:
    weights = part(entry, "weights")
    return f"   {size(number(weights, 'size_bytes'))}  {text(weights, 'licence')}".rstrip() if weights else ""


APP = App("models", help="List the models that can be called; pull weights, add models.")
APP.default(models)
APP.command(pull, name="pull")
APP.command(add, name="add")
