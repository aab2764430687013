"""`headrace routers replay`: what a router would have done with the requests of the past; no model is called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import PositiveInt

from headrace.cli.client import ApiClient, event_object, given, segment
from headrace.cli.known_routers import PATH
from headrace.cli.progress import PullProgress
from headrace.cli.replay_text import replay_text
from headrace.cli.replies import number, part, text
from headrace.cli.router_file import RouterFile, read_router_file
from headrace.cli.session import Session
from headrace.cli.verb_shapes import Running, Told, asks_server
from headrace.domain.errors import OperatorError
from headrace.domain.json_value import JsonObject
from headrace.domain.router import PREFIX, RoutingPreference
from headrace.ports.fleet import Progress

BROKEN = "the reply of the server broke off before the report. Try again, or with a smaller --limit."


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayFlags:
    """Which requests are decided anew, and by what."""

    since: Annotated[str | None, Parameter(help="From when: 7d or 24h back, a date, or an ISO time (7d).")] = None
    until: Annotated[str | None, Parameter(help="Until when, written alike (now).")] = None
    limit: Annotated[PositiveInt | None, Parameter(help="The newest so many requests, up to 50000 (10000).")] = None
    draft: Annotated[
        Path | None, Parameter(help="A router's file to try in its place, as `headrace routers apply` takes it.")
    ] = None
    preference: Annotated[
        RoutingPreference | None, Parameter(help="With inference-router: rank anew under this preference.")
    ] = None


AS_IT_IS = ReplayFlags()


@asks_server
def replay(client: ApiClient, router: str, /, *, asked: ReplayFlags = AS_IT_IS, session: Running) -> Told:
    """Route logged requests again, by the router as it is or by a draft, and show what changes.

    Parameters
    ----------
    router:
        The router's name or uuid, a preset's name, or inference-router.
    """
    file = None if asked.draft is None else read_router_file(asked.draft.expanduser())
    body: JsonObject = given(
        since=asked.since,
        until=asked.until,
        limit=asked.limit,
        router=None if file is None else file.body,
        routing_preference=None if asked.preference is None else asked.preference.value,
        stream=True,
    )
    path = f"{PATH}/{segment(router.removeprefix(PREFIX))}/replay"
    try:
        reply = _followed(client, path, body, session)
    except OperatorError as error:
        raise _told(error, file) from error
    return Told(reply, replay_text(part(reply, "replay")))


def _followed(client: ApiClient, path: str, body: JsonObject, session: Session) -> JsonObject:
    with PullProgress(session.stderr, "replaying") as show, client.events(path, "admin", body) as events:
        for data in events.data:
            event = event_object(data)
            if "replay" in event:
                return event
            show(Progress(text(event, "what"), number(event, "done"), number(event, "total"), "requests"))
    raise OperatorError(BROKEN, code="reply_broken")


def _told(error: OperatorError, file: RouterFile | None) -> Exception:
    """What is wrong with the draft stands in its file, without the name of the field that it was sent in."""
    if file is None or error.param is None or not error.param.startswith("router."):
        return error
    error.param = error.param.removeprefix("router.")
    return file.told(error)
