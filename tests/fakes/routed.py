"""Requests that routers decided, in memory, and such requests as tests want them."""

from __future__ import annotations

from dataclasses import dataclass, field

from headrace.domain.routing import Decision, PromptFigures, RoutedTarget
from headrace.ports.routing import RoutedRequest

NOON = 1_795_521_600_000_000
FEATURES = bytes(768)


def a_target(model_id: str, rank: int | None, cost_nano: int | None = 1_000, code: str = "as_written") -> RoutedTarget:
    return RoutedTarget(model_id, model_id, "acme", rank, code, "as written", cost_nano)


def a_routing(
    route: str | None,
    *targets: RoutedTarget,
    router: str = "support",
    features: bytes = FEATURES,
    basis: str | None = None,
) -> Decision:
    """A decision that chose the first target."""
    costs = [each.expected_cost_nano for each in targets if each.rank and each.expected_cost_nano is not None]
    return Decision(
        router=router,
        route=route,
        score=0.9,
        best=route,
        runner_up=None,
        runner_up_score=None,
        closest_example=None,
        basis=basis or ("no_match" if route is None else "matched"),
        policy="none",
        reason="because",
        targets=targets or (a_target("tiny", 1),),
        figures=PromptFigures(0.5, 100.0),
        features=features,
        decided_micros=2_000,
        reference_nano=max(costs, default=None),
    )


def a_request(
    request_id: str,
    decision: Decision,
    *,
    at_micros: int = NOON,
    served_by: str | None = "tiny",
    cost_nano: int = 1_000,
    tokens: tuple[int, int, int, int] = (100, 0, 50, 0),
) -> RoutedRequest:
    """A request that was decided so; `tokens` are input, the cached of it, output and the reasoning of it."""
    read, cached, written, thought = tokens
    return RoutedRequest(
        request_id, at_micros, decision, served_by, cost_nano, read, cached, written, thought, 200 if served_by else 502
    )


@dataclass(slots=True)
class MemoryDecisions:
    """Decisions in memory."""

    requests: list[RoutedRequest] = field(default_factory=list[RoutedRequest])

    async def since(
        self, router: str, since_micros: int, limit: int, before: tuple[int, str] | None = None
    ) -> tuple[RoutedRequest, ...]:
        found = [each for each in self.requests if each.decision.router == router]
        found = [each for each in found if each.received_at_micros >= since_micros]
        if before is not None:
            found = [each for each in found if (each.received_at_micros, each.request_id) < before]
        found.sort(key=lambda each: (each.received_at_micros, each.request_id))
        return tuple(found[-limit:] if limit else ())

    async def count(self, router: str, since_micros: int, until_micros: int) -> int:
        return len(
            [
                each
                for each in self.requests
                if each.decision.router == router and since_micros <= each.received_at_micros < until_micros
            ]
        )

    async def get(self, request_id: str) -> RoutedRequest | None:
        return next((each for each in self.requests if each.request_id == request_id), None)

    async def sweep(self, before_micros: int) -> int:
        kept = [each for each in self.requests if each.received_at_micros >= before_micros]
        swept = len(self.requests) - len(kept)
        self.requests = kept
        return swept
