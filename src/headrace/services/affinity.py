"""Affinity: finds the session of a request, keeps sessions for a while, and learns who really served.

It is memory of this process and of nothing else: a restart forgets it, and a router that decides without a session
decides as for the first request. Where a request goes in its session is the domain's (`session.choose`).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from headrace.domain.call import Call
from headrace.domain.conversation import Conversation
from headrace.domain.session import AFFINITY_OFF, Asking, Choice, Offer, Session, choose, learned
from headrace.domain.switching import DEFAULT_CAP_PPM, Placement
from headrace.ports.ambient import Clock
from headrace.ports.observer import AttemptEnd, RequestEnd

TTL_SECONDS = 600.0
MAX_SESSIONS = 10_000
IMPLICIT = "implicit:"
IMPLICIT_DIGITS = 16
# An upstream that broke off is nobody to stay with; a caller who left says nothing against it.
SERVED = frozenset({"complete", "client_closed", "slow_reader"})


@dataclass(frozen=True, slots=True)
class SessionKey:
    """Whose session it is, of which router, by which name; nobody else's request ever finds it."""

    account: str
    key_id: str
    router: str
    name: str


@dataclass(frozen=True, slots=True)
class Held:
    """The session that a request belongs to, as far as it is known; `session` is None before anybody has served it."""

    key: SessionKey
    session: Session | None
    asking: Asking

    @property
    def name(self) -> str:
        """What the caller is told: the id it gave, or the one that was made of the conversation's opening."""
        return self.key.name

    @property
    def is_decided(self) -> bool:
        """Whether an earlier request of the session was decided and served."""
        return self.session is not None

    @property
    def route(self) -> str | None:
        """The route of the last one, None where nothing had matched."""
        return None if self.session is None else self.session.route

    @property
    def replays(self) -> bool:
        """Whether that decision holds on, because the turn that it was made for is still being worked on."""
        return self.asking.in_tool_loop and self.is_decided


@dataclass(frozen=True, slots=True)
class _Awaited:
    key: SessionKey
    choice: Choice
    is_new: bool


class Affinity:
    """Keeps sessions, those that were used last; as an observer it hears who served.

    `fingerprint` is a keyed digest: the id that is made of a prompt does not tell what was asked. A session that is not
    used for `ttl_seconds` is forgotten. `verdicts` counts weighed switches.
    """

    def __init__(
        self,
        clock: Clock,
        fingerprint: Callable[[bytes], str],
        ttl_seconds: float = TTL_SECONDS,
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        self._clock = clock
        self._fingerprint = fingerprint
        self._ttl_seconds = ttl_seconds
        self._max_sessions = max_sessions
        self._sessions: OrderedDict[SessionKey, Session] = OrderedDict()
        self._awaited: OrderedDict[str, _Awaited] = OrderedDict()
        self.verdicts = Counter[str]()

    @property
    def count(self) -> int:
        """How many sessions are kept now."""
        self._forget_idle(self._clock.monotonic())
        return len(self._sessions)

    def find(self, call: Call, router: str, conversation: Conversation) -> Held | None:
        """Return the session of a call to a router; None where the caller wants none or nothing tells which it is.

        A session without a name begins with the first message: who opens a conversation in the same words as another
        one does not go on with that.
        """
        if call.affinity == AFFINITY_OFF or (call.affinity is None and not conversation.opening):
            return None
        caller, now = call.caller, self._clock.monotonic()
        name = call.affinity or self._implicit(caller.key_id, router, conversation.opening)
        key = SessionKey(caller.account, caller.key_id, router, name)
        is_new = call.affinity is None and len(conversation.turns) <= 1 and not conversation.in_tool_loop
        cap = DEFAULT_CAP_PPM if call.switch_spend_ppm is None else call.switch_spend_ppm
        asking = Asking(conversation.prompt_tokens, conversation.in_tool_loop, call.received_at_micros, now, cap)
        return Held(key, None if is_new else self._known(key, now), asking)

    def order(self, held: Held | None, offer: Offer) -> Choice:
        """Return whom a call asks first; nothing is noted."""
        if held is None:
            return Choice(offer.route, offer.targets)
        return choose(held.session, held.asking, offer)

    def planned(self, call: Call, held: Held | None, choice: Choice) -> None:
        """Note that a call goes out by this choice: its session learns who serves it."""
        if held is None:
            return
        if choice.switch is not None:
            self.verdicts[choice.switch.verdict.value] += 1
        if held.session is not None and held.key in self._sessions:
            self._keep(held.key, replace(self._sessions[held.key], used_at=held.asking.now))
        self._awaited[call.request_id] = _Awaited(held.key, choice, held.session is None)
        if len(self._awaited) > self._max_sessions:
            self._awaited.popitem(last=False)

    def request_ended(self, end: RequestEnd) -> None:
        """Wait no longer for who serves it."""
        self._awaited.pop(end.request_id, None)

    def attempt_ended(self, end: AttemptEnd) -> None:
        """Learn who served, where somebody did."""
        if end.usage is None or end.ending not in SERVED:
            return
        awaited = self._awaited.pop(end.request_id, None)
        if awaited is None:
            return
        now = self._clock.monotonic()
        before = None if awaited.is_new else self._known(awaited.key, now)
        served = Placement(end.model_id, end.provider)
        self._keep(awaited.key, learned(before, awaited.choice, served, end.usage, now))

    def _known(self, key: SessionKey, now: float) -> Session | None:
        session = self._sessions.get(key)
        return None if session is None or self._is_idle(session, now) else session

    def _keep(self, key: SessionKey, session: Session) -> None:
        self._sessions[key] = session
        self._sessions.move_to_end(key)
        self._forget_idle(session.used_at)
        if len(self._sessions) > self._max_sessions:
            self._sessions.popitem(last=False)

    def _forget_idle(self, now: float) -> None:
        """Forget from the front: the order is that of their last use."""
        while self._sessions:
            key, session = next(iter(self._sessions.items()))
            if not self._is_idle(session, now):
                return
            del self._sessions[key]

    def _is_idle(self, session: Session, now: float) -> bool:
        return now - session.used_at >= self._ttl_seconds

    def _implicit(self, key_id: str, router: str, opening: str) -> str:
        content = msgspec.json.encode((key_id, router, opening))
        return IMPLICIT + self._fingerprint(content)[:IMPLICIT_DIGITS]
