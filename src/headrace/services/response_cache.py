"""Exact replies again: a key that asks for it gets the complete reply to the very same request, for nothing.

It calls a turn through a sink; a turn knows nothing. A request is the same when everything that decides its answer is:
key, account, operation, dialect, the model that would serve it now, the whole body and the headers that an upstream
is told. What is kept is sealed, belongs to one key, and is served only while the key may call that model.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from headrace.domain.call import Call, Dialect
from headrace.domain.errors import MeteringUnavailable, StoreUnusable
from headrace.domain.money import format_nano
from headrace.domain.plan import Plan, Target
from headrace.ports.ambient import Clock
from headrace.ports.observer import AttemptEnd, RequestEnd
from headrace.ports.sink import Sink
from headrace.ports.stores import Blobs
from headrace.services.cache_sink import CacheSink, Headers, Recorded
from headrace.services.metering import route_fields
from headrace.services.reply_headers import ROUTING_HEADERS, routing_headers
from headrace.services.resolve import authorise
from headrace.wire.cached_reply import renewed_end

CACHE_CONTROL = b"cache-control"
KIND = "reply"
SECOND_MICROS = 1_000_000
OFF_LOOP_BYTES = 256 * 1024
RunTurn: TypeAlias = Callable[[Sink], Awaitable[None]]
Served: TypeAlias = tuple[str, str]
_OF_THE_FIRST_TIME = ROUTING_HEADERS | {
    "x-headrace-attempts",
    "x-headrace-cost-usd",
    "x-headrace-cost-nano-usd",
    "content-length",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply as it is kept: the request that it answered, when, and what was sent."""

    request_id: str
    at_micros: int
    headers: Headers
    blocks: tuple[bytes, ...]
    end: bytes


_CLAMPED = b'"clamped_output_tokens"'
_KEPT = msgspec.msgpack.Decoder(Kept)


class ResponseCache:
    """Serves the requests of keys that have a cache; as an observer it hears which target answered each.

    `is_on` is the operator's decision for all keys. `fingerprint` is a keyed digest: what lies in the store does not
    tell what was asked. `outcomes` counts hits, misses and what passed by.
    """

    def __init__(self, blobs: Blobs, fingerprint: Callable[[bytes], str], clock: Clock, *, is_on: bool = True) -> None:
        self._blobs = blobs
        self._fingerprint = fingerprint
        self._clock = clock
        self._is_on = is_on
        self._served: dict[str, Served | None] = {}
        self.outcomes = Counter[str]()

    async def serve(self, call: Call, plan: Plan, cache_control: Sequence[bytes], sink: Sink, run: RunTurn) -> None:
        """Send the kept reply to this request, or run the turn and keep its reply; raises what the turn raises."""
        seconds = call.caller.cache_seconds if self._is_on else None
        if seconds is None or not plan.targets:
            await run(sink)
            return
        wishes = _directives(cache_control)
        if "no-store" in wishes or _has_state(call):
            self.outcomes["bypass"] += 1
            await run(CacheSink(sink, "bypass"))
            return
        target = plan.targets[0]
        authorise(call, target)
        name = await self._name(call, target)
        kept = None if "no-cache" in wishes else await self._find(call, name, seconds)
        self.outcomes["miss" if kept is None else "hit"] += 1
        if kept is not None:
            await _replay(kept, call, plan, sink)
            return
        await self._run_and_keep(call, target, name, sink, run)

    def request_ended(self, end: RequestEnd) -> None:
        """Take no notice: what is kept is decided before a request ends."""

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Note which target answered a request that is waited for."""
        if end.request_id in self._served and end.ending == "complete":
            self._served[end.request_id] = (end.provider, end.model_id)

    async def _run_and_keep(self, call: Call, target: Target, name: str, sink: Sink, run: RunTurn) -> None:
        """Run the turn; what another target than the first answered, or with less to spend, is not kept for others."""

        async def keep(recorded: Recorded) -> None:
            served = self._served[call.request_id]
            if served == (target.provider.name, target.model.id) and not _is_clamped(recorded):
                await self._keep(call, name, recorded)

        self._served[call.request_id] = None
        try:
            await run(CacheSink(sink, "miss", keep))
        finally:
            del self._served[call.request_id]

    async def _keep(self, call: Call, name: str, recorded: Recorded) -> None:
        now = self._clock.unix_micros()
        headers = tuple(each for each in recorded.headers if each[0] not in _OF_THE_FIRST_TIME)
        content = msgspec.msgpack.encode(Kept(call.request_id, now, headers, recorded.blocks, recorded.end))
        expires = now + (call.caller.cache_seconds or 0) * SECOND_MICROS
        # An answer that was paid for is given out even when it could not be kept.
        with contextlib.suppress(MeteringUnavailable):
            await self._blobs.put(call.caller.key_id, KIND, name, content, expires)

    async def _find(self, call: Call, name: str, seconds: int) -> Kept | None:
        """Return what is kept, unless it is older than the key now wants; what cannot be read is as good as gone."""
        try:
            content = await self._blobs.get(call.caller.key_id, KIND, name)
        except (MeteringUnavailable, StoreUnusable):
            return None
        kept = None if content is None else _KEPT.decode(content)
        if kept is None or self._clock.unix_micros() - kept.at_micros >= seconds * SECOND_MICROS:
            return None
        return kept

    async def _name(self, call: Call, target: Target) -> str:
        if call.envelope.body_bytes > OFF_LOOP_BYTES:
            return await asyncio.to_thread(self._name_of, call, target)
        return self._name_of(call, target)

    def _name_of(self, call: Call, target: Target) -> str:
        caller = call.caller
        decides = (
            (caller.account, caller.key_id, call.operation, call.dialect),
            (target.model.id, target.provider.name, target.identity),
            (call.fallbacks, call.may_substitute, call.passed_headers),
            call.body,
        )
        return self._fingerprint(msgspec.json.encode(decides, order="deterministic"))


def _directives(values: Sequence[bytes]) -> frozenset[str]:
    text = ",".join(value.decode("latin-1") for value in values)
    return frozenset(part.strip().lower() for part in text.split(","))


def _has_state(call: Call) -> bool:
    """Whether the answer is more than itself: it is to be stored, or it continues what is stored."""
    body = call.body
    if call.dialect is Dialect.RESPONSES and body.get("store") is not False:
        return True
    continues = ("previous_response_id", "conversation")
    return bool(body.get("store")) or any(body.get(name) is not None for name in continues)


def _is_clamped(recorded: Recorded) -> bool:
    return any(name == "x-headrace-clamped" for name, _ in recorded.headers) or _CLAMPED in recorded.end


async def _replay(kept: Kept, call: Call, plan: Plan, sink: Sink) -> None:
    """Send what was sent then, under the ids of now and for nothing: there is no attempt and nothing is booked."""
    headers = (
        *kept.headers,
        *(() if plan.decision is None else routing_headers(plan.decision)),
        ("x-headrace-attempts", "0"),
        ("x-headrace-cost-usd", format_nano(0)),
        ("x-headrace-cost-nano-usd", "0"),
        ("x-headrace-cache", "hit"),
        ("x-headrace-cache-source", kept.request_id),
    )
    if not call.envelope.stream:
        await sink.start(200, (*headers, ("content-length", str(sum(map(len, (*kept.blocks, kept.end)))))))
        await sink.end(b"".join((*kept.blocks, kept.end)))
        return
    await sink.start(200, headers)
    for block in kept.blocks:
        await sink.write(block)
    money: dict[str, int | str] = {
        "request_id": call.request_id,
        "model": plan.targets[0].model.id,
        "attempts": 0,
        "cost_usd": format_nano(0),
        "cost_nano_usd": 0,
        **({} if plan.decision is None else route_fields(plan.decision)),
    }
    await sink.end(renewed_end(kept.end, money))
