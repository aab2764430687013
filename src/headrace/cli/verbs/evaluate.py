"""`headrace routers evaluate`: how well a router decides a labelled set; no model is called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from cyclopts.types import PositiveInt

from headrace.cli.client import ApiClient
from headrace.cli.evaluation_text import evaluation_object, evaluation_text
from headrace.cli.progress import PullProgress
from headrace.cli.replies import parts, text
from headrace.cli.verb_shapes import Running, Told, asks_server
from headrace.domain.errors import ConfigInvalid
from headrace.domain.evaluation import Choosable, Judged, evaluate
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.router import PREFIX, names_router
from headrace.ports.fleet import Progress
from headrace.wire.labelled_prompts import LabelledPrompt, read_labelled

PATH = "/v1/routing/decisions"
MOST_BYTES = 256 * 1024 * 1024


@asks_server
def evaluate_router(
    client: ApiClient, router: str, /, *, data: Path, limit: PositiveInt | None = None, session: Running
) -> Told:
    """Route every prompt of a labelled file; report accuracy, speed and cost.

    Parameters
    ----------
    router:
        The router's name, with or without "router:".
    data:
        A file of lines like {"prompt": "…", "route": "refund"}; null as route where nothing should match.
    limit:
        Use only the first N prompts.
    """
    name = router if names_router(router) else PREFIX + router
    labelled = read_labelled(str(data), _read(data.expanduser()))[:limit]
    judged: list[Judged] = []
    with PullProgress(session.stderr, "deciding") as show:
        for each in labelled:
            body: JsonObject = {"model": name, "messages": list[JsonValue](each.messages)}
            judged.append(_judged(each, client.send("POST", PATH, "admin", body)))
            show(Progress("prompts", len(judged), len(labelled), "prompts"))
    found = evaluate(judged)
    reply = evaluation_object(name, found)
    return Told(reply, evaluation_text(found))


def _judged(labelled: LabelledPrompt, reply: JsonObject) -> Judged:
    route, chosen, taken = reply.get("route"), reply.get("model"), reply.get("decided_ms")
    return Judged(
        wanted=labelled.route,
        decided=route if isinstance(route, str) else None,
        milliseconds=float(taken) if isinstance(taken, int | float) else 0.0,
        chosen=chosen if isinstance(chosen, str) else None,
        choosable=dict(_choosable(labelled, parts(reply, "candidates"))),
    )


def _choosable(labelled: LabelledPrompt, candidates: Iterable[JsonObject]) -> Iterator[tuple[str, Choosable]]:
    """The first candidate of a model is the one that would be asked first."""
    seen: set[str] = set()
    for each in candidates:
        model, cost, strength = text(each, "model"), each.get("expected_cost_nano_usd"), each.get("strength")
        if each.get("rank") is None or not isinstance(cost, int) or model in seen:
            continue
        seen.add(model)
        known = float(strength) if isinstance(strength, int | float) else None
        yield model, Choosable(cost, known, labelled.outcomes.get(model))


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ConfigInvalid(f"{file} is larger than {MOST_BYTES // 1024**2} MiB. Split it.")
        return file.read_text("utf-8")
    except OSError as error:
        raise ConfigInvalid(f"{file} cannot be read: {error.strerror}. Name a file with --data.") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{file} is not UTF-8 at byte {error.start}. Save it as UTF-8.") from error
