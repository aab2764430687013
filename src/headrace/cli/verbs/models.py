"""`headrace models`: what can be called, what cannot and why, pulling weights.

Adding and removing models are models_add's and models_remove's.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from cyclopts import App, Parameter

from headrace.cli.client import ApiClient, Events, event_object, segment
from headrace.cli.pages import PAGE_LIMIT, pages
from headrace.cli.progress import PullProgress
from headrace.cli.replies import number, part, parts, size, text
from headrace.cli.session import Session, columns
from headrace.cli.verb_shapes import Running, Told, asks_server
from headrace.cli.verbs.models_add import add
from headrace.cli.verbs.models_remove import remove
from headrace.domain.errors import OperatorError
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.usage import TokenClass
from headrace.ports.fleet import Progress

CATALOG = "/v2/gen-ai/models/catalog"
HEADER = ("MODEL", "TYPE", "PROVIDER", "CONTEXT", "IN $/M", "OUT $/M")
RIGHT = frozenset({3, 4, 5})


@asks_server
def models(
    client: ApiClient, *, all_models: Annotated[bool, Parameter(name="--all", negative="", show_default=False)] = False
) -> Told:
    """List the models that you can call now.

    Parameters
    ----------
    all_models:
        Also list unavailable models, each with the reason and the fix.
    """
    if all_models:
        reply = _whole_catalog(client)
        return Told(reply, _catalog_text(parts(reply, "models")))
    reply = client.get("/v1/models", "key")
    return Told(reply, _listed_text(parts(reply, "data")))


@asks_server
def pull(client: ApiClient, model: str, /, *, session: Running) -> Told:
    """Download the weights of an embedded model. Name, size and license are shown first.

    Parameters
    ----------
    model:
        The model, as `headrace models --all` shows it.
    """
    return Told(_pull(client, model, session), f"{model} is here. Talk to it: headrace chat {model}")


def _pull(client: ApiClient, model: str, session: Session) -> JsonObject:
    with client.events(f"/v2/models/{segment(model)}/pull", "admin") as events, PullProgress(session.stderr) as shown:
        try:
            last = _last_event(events, model, shown)
        except KeyboardInterrupt:
            session.note("The server goes on without this command: `headrace models` lists the model when it is there.")
            raise
    if last is None:
        raise OperatorError(
            f"the server stopped telling about {model} before it was there. Run the same command again: it goes on.",
            code="reply_broken",
        )
    return last


def _last_event(events: Events, model: str, shown: PullProgress) -> JsonObject | None:
    """Show each event and return the one that says that all is there; None when the server leaves before."""
    for event in map(event_object, events.data):
        if event.get("done") is True:
            return event
        if "licence" in event:
            shown.announce(text(event, "name", model), number(event, "size_bytes"), text(event, "licence"))
        else:
            done, total = number(event, "done"), number(event, "total")
            shown(Progress(text(event, "what", model), done, total, text(event, "unit", "bytes")))
    return None


def _whole_catalog(client: ApiClient) -> JsonObject:
    found: list[JsonValue] = []
    for reply in pages(client, CATALOG, "either", {"limit": PAGE_LIMIT}):
        found += parts(reply, "models")
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


APP = App("models", help="List the models that can be called; pull weights, add and remove models.")
APP.default(models)
APP.command(pull, name="pull")
APP.command(add, name="add")
APP.command(remove, name="remove")
