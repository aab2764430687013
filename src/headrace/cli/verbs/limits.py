"""`headrace limits`: rate limits of keys, teams, models and the platform, listed, set and removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient, segments
from headrace.cli.replies import part, parts, text
from headrace.cli.session import listing
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject
from headrace.domain.rate_limit import LimitKind

PATH = "/v2/limits"
HEADINGS = ("SCOPE", "REQUESTS/MIN", "REQUESTS/DAY", "TOKENS/MIN", "TOKENS/DAY", "AT ONCE")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFlags:
    """The limits that `headrace limits set` takes; one that is left out is lifted."""

    requests_per_minute: Annotated[int | None, Parameter(help="Requests in a minute.")] = None
    requests_per_day: Annotated[int | None, Parameter(help="Requests in a day.")] = None
    tokens_per_minute: Annotated[int | None, Parameter(help="Tokens in a minute, of prompts and answers.")] = None
    tokens_per_day: Annotated[int | None, Parameter(help="Tokens in a day, of prompts and answers.")] = None
    concurrent_requests: Annotated[int | None, Parameter(help="Requests that run at once.")] = None


NO_LIMITS = LimitFlags()


@asks_server
def list_limits(client: ApiClient) -> Told:
    """List scopes with rate limits."""
    reply = client.get(PATH, "admin")
    empty = "There are no rate limits. Set some: headrace limits set key:ID --requests-per-minute 60"
    return Told(reply, listing(HEADINGS, map(_row, parts(reply, "limits")), empty))


@asks_server
def set_limits(client: ApiClient, scope: str, /, *, limits: LimitFlags = NO_LIMITS) -> Told:
    """Set all rate limits of a scope. They apply from the next request.

    Parameters
    ----------
    scope:
        key:ID, team:NAME, model:ID or platform.
    """
    body: JsonObject = {
        "requests_per_minute": limits.requests_per_minute,
        "requests_per_day": limits.requests_per_day,
        "tokens_per_minute": limits.tokens_per_minute,
        "tokens_per_day": limits.tokens_per_day,
        "concurrent_requests": limits.concurrent_requests,
    }
    if all(value is None for value in body.values()):
        raise ConfigInvalid(
            "No limit is given. Give at least one, like --requests-per-minute 60; `headrace limits remove SCOPE` lifts"
            " all.",
            code="usage",
        )
    reply = client.send("PUT", _path(scope), "admin", body)
    shown = part(reply, "limits")
    told = [
        f"{text(shown, kind.value)} {kind.value.replace('_', ' ')}" for kind in LimitKind if text(shown, kind.value)
    ]
    return Told(reply, f"{text(shown, 'scope', scope)} may have {', '.join(told)}.")


@asks_server
def remove_limits(client: ApiClient, scope: str, /) -> Told:
    """Remove all rate limits of a scope.

    Parameters
    ----------
    scope:
        The scope that `headrace limits list` shows.
    """
    reply = client.send("DELETE", _path(scope), "admin")
    return Told(reply, f"{text(part(reply, 'limits'), 'scope', scope)} has no rate limits any more.")


def _path(scope: str) -> str:
    return f"{PATH}/{segments(scope)}"


def _row(shown: JsonObject) -> tuple[str, ...]:
    return text(shown, "scope"), *(text(shown, kind.value, "-") for kind in LimitKind)
