"""A calibration in words and as an object; asking the models is the verb's, counting the domain's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.cli.replies import dollars
from headrace.cli.session import columns
from headrace.domain.calibration import Tally, Verdict, tallies
from headrace.domain.intervals import share_interval
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.strength import Strength

MODELS = ("MODEL", "RIGHT", "SHARE", "STRENGTH", "COST")
MEANING = "Strength is the logit of the share of right answers, with its 95 % interval: 0 is half of them right."


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One model's answers; `strength` is None when too few came."""

    model: str
    verdicts: Sequence[Verdict]
    strength: Strength | None

    @property
    def all_kinds(self) -> Tally:
        """How many answers were checked in all, and how many were right."""
        kinds = tallies(self.verdicts)
        return Tally("all", sum(each.right for each in kinds), sum(each.total for each in kinds))

    @property
    def unanswered(self) -> list[Verdict]:
        """The prompts that no answer came to."""
        return [each for each in self.verdicts if each.is_right is None]

    @property
    def cost_nano(self) -> int:
        """What all answers cost, in nano-dollars."""
        return sum(each.cost_nano for each in self.verdicts)


def calibration_text(found: Sequence[Calibrated], saved: Path | None) -> str:
    """Return a table of the models, a table of kinds, what went wrong, and where it was saved."""
    rows = [
        (each.model, _count(each.all_kinds), _share(each.all_kinds), _strength(each), _cost(each)) for each in found
    ]
    blocks = ["\n".join([columns([MODELS, *rows], frozenset({1, 4})), MEANING]), _kinds(found)]
    blocks += [_missing(each) for each in found if each.unanswered]
    if saved is not None:
        blocks.append(f"Saved to {saved}. A running server takes it over with: headrace config reload")
    return "\n\n".join(blocks)


def calibration_object(found: Sequence[Calibrated], saved: Path | None) -> JsonObject:
    """Return the figures for machines; shares are from 0 to 1, strengths logits, costs nano-dollars."""
    models: list[JsonValue] = [
        {
            "model": each.model,
            **_counted(each.all_kinds),
            "strength": None if each.strength is None else _bounds(each.strength),
            "kinds": [{"kind": kind.kind, **_counted(kind)} for kind in tallies(each.verdicts)],
            "wrong": [verdict.item.id for verdict in each.verdicts if verdict.is_right is False],
            "unanswered": [{"id": verdict.item.id, "problem": verdict.problem} for verdict in each.unanswered],
            "cost_nano_usd": each.cost_nano,
        }
        for each in found
    ]
    return {"models": models, "saved": None if saved is None else str(saved)}


def _kinds(found: Sequence[Calibrated]) -> str:
    """One row a kind, one column a model."""
    by_model = [{tally.kind: tally for tally in tallies(each.verdicts)} for each in found]
    kinds = dict.fromkeys(kind for each in by_model for kind in each)
    rows = [(kind, *(_whole(each.get(kind)) for each in by_model)) for kind in kinds]
    return columns([("KIND", *(each.model for each in found)), *rows])


def _whole(tally: Tally | None) -> str:
    return "-" if tally is None else f"{_count(tally):>5}  {_share(tally)}"


def _count(tally: Tally) -> str:
    return f"{tally.right}/{tally.total}"


def _share(tally: Tally) -> str:
    share = share_interval(tally.right, tally.total)
    return "-" if share is None else f"{share.value:.0%} ({share.low * 100:.0f}-{share.high * 100:.0f})"


def _strength(each: Calibrated) -> str:
    strength = each.strength
    return "-" if strength is None else f"{strength.value:+.2f} ({strength.low:+.2f} to {strength.high:+.2f})"


def _cost(each: Calibrated) -> str:
    return dollars(each.cost_nano)


def _missing(each: Calibrated) -> str:
    first = each.unanswered[0]
    count = len(each.unanswered)
    told = f"{each.model}: no answer to {count} prompt{'' if count == 1 else 's'}; the first, {first.item.id}:"
    weighed = "" if each.strength is not None else "\nToo few answers came: no strength is given. Run it again."
    return f"{told} {first.problem}{weighed}"


def _counted(tally: Tally) -> JsonObject:
    share = share_interval(tally.right, tally.total)
    counts: JsonObject = {"right": tally.right, "total": tally.total}
    if share is None:
        return {**counts, "share": None, "low": None, "high": None}
    return {**counts, "share": share.value, "low": share.low, "high": share.high}


def _bounds(strength: Strength) -> JsonObject:
    return {"value": strength.value, "low": strength.low, "high": strength.high, "scale": strength.scale}
