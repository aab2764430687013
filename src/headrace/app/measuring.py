"""What routers are measured with: replays, savings, answers of reference models."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.app.foundation import Foundation
from headrace.ports.ambient import Offload
from headrace.services.planning import Knowledge
from headrace.services.replays import ReplayParts, Replays
from headrace.services.savings import SavingsReader
from headrace.services.shadow_book import ShadowBook
from headrace.services.shadows import ShadowParts, Shadows
from headrace.services.snapshots import Snapshots
from headrace.services.tasks import Tasks
from headrace.services.turn_parts import TurnParts


@dataclass(frozen=True, slots=True)
class Measuring:
    """The services of measuring that the control plane asks."""

    replays: Replays
    savings: SavingsReader
    shadows: ShadowBook


def make_measuring(
    ground: Foundation, knowledge: Knowledge, snapshots: Snapshots, offload: Offload, keep_days: int
) -> Measuring:
    """Build them; what was decided is kept for so many days."""
    return Measuring(
        replays=Replays(ReplayParts(ground.decisions, knowledge.scorer, knowledge.figures, snapshots, offload)),
        savings=SavingsReader(ground.decisions, ground.shadows, snapshots, offload),
        shadows=ShadowBook(ground.shadows, ground.blobs, snapshots, ground.clock, keep_days),
    )


def make_shadows(ground: Foundation, turn: TurnParts, snapshots: Snapshots, tasks: Tasks, keep_days: int) -> Shadows:
    """Build what has requests answered again."""
    return Shadows(
        ShadowParts(
            turn=turn,
            current=snapshots.current,
            store=ground.shadows,
            blobs=ground.blobs,
            decisions=ground.decisions,
            receipts=ground.receipts,
            tasks=tasks,
            keep_days=keep_days,
        )
    )
