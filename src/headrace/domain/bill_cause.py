"""What a difference between our books and a bill most likely comes from, in a plain sentence with what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from headrace.domain.money import PICO_PER_NANO, divide_half_even, format_nano

# Each class of a request is rounded on its own, half a nano-dollar at most, on their side as on ours.
ROUNDING_PICO_PER_REQUEST = 6 * PICO_PER_NANO
UNIT_FACTORS = (100, 1_000, 1_000_000)
NEAR = 20

POSSIBLE_SPEND = "possible_spend"
UNMATCHED = "not_on_the_bill"
ESTIMATED = "usage_estimated"
RECOVERED = "recovered"
ANOMALY = "usage_anomaly"
LEFT = "caller_left"
BROKEN = "ended_early"
REASONS = (POSSIBLE_SPEND, UNMATCHED, RECOVERED, ESTIMATED, ANOMALY, LEFT, BROKEN)
OURS_COUNTED = (RECOVERED, ESTIMATED, ANOMALY)
UNSURE_TO_BE_BILLED = (UNMATCHED, LEFT, BROKEN)


class Cause(StrEnum):
    """What a difference most likely comes from."""

    AGREES = "agrees"
    ROUNDING = "rounding"
    MODEL_UNKNOWN = "model_unknown"
    NOT_THROUGH_HERE = "not_through_here"
    NOT_BILLED = "not_billed"
    UNIT = "unit"
    TIME_ZONE = "time_zone"
    PRICES = "prices_differ"
    ESTIMATED = "usage_estimated"
    BILLED_VOIDS = "voids_were_billed"
    UNBILLED = "attempts_not_billed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Drift:
    """One figure of both sides; costs come in nano-dollars, with the pico-dollars that they were rounded from."""

    name: str
    ours: int
    theirs: int
    ours_pico: int = 0
    theirs_pico: int = 0

    @property
    def difference(self) -> int:
        """Theirs less ours."""
        return self.theirs - self.ours

    @property
    def per_mille(self) -> int | None:
        """The difference in thousandths of ours, rounded half to even; None where ours is nothing."""
        if not self.ours:
            return None
        size = divide_half_even(abs(self.difference) * 1_000, self.ours)
        return -size if self.difference < 0 else size


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of a row beside its figures.

    `factor` and `shift_hours` were found over the whole bill: amounts in another unit, days of another time zone.
    `step_pico` is how finely the bill's amounts are written, summed over its lines; `requests` are ours.
    """

    day: str
    model_id: str
    billed_as: tuple[str, ...]
    is_billed: bool
    is_booked: bool
    doubts: Mapping[str, int]
    factor: int | None = None
    shift_hours: int | None = None
    step_pico: int = 0
    requests: int = 1

    def count(self, *reasons: str) -> int:
        """Return how many attempts have one of these reasons, counting each reason on its own."""
        return sum(self.doubts.get(reason, 0) for reason in reasons)

    @property
    def named(self) -> str:
        """The model in a sentence."""
        return f'"{self.model_id or ", ".join(self.billed_as)}"' if self.model_id or self.billed_as else "the whole day"


def unit_factor(drifts: Sequence[Drift]) -> int | None:
    """Return how many times larger (negative: smaller) the bill's amounts are, when that looks like another unit."""
    for drift in drifts:
        if drift.name != "cost_nano" or not drift.ours or not drift.theirs:
            continue
        for factor in UNIT_FACTORS:
            if _near(drift.theirs, drift.ours * factor):
                return factor
            if _near(drift.ours, drift.theirs * factor):
                return -factor
    return None


def explain(drifts: Sequence[Drift], facts: Circumstances) -> tuple[Cause, str]:
    """Return the likely cause of a row's differences and what to do about it."""
    if all(drift.difference == 0 for drift in drifts):
        return Cause.AGREES, f"{facts.day}: {facts.named} agrees."
    if _is_rounding(drifts, facts):
        return Cause.ROUNDING, f"{facts.day}: {facts.named} differs by the rounding of amounts only."
    return _unknown_model(facts) or _of_the_bill(facts) or _missing(facts) or _of_the_figures(drifts, facts)


def _unknown_model(facts: Circumstances) -> tuple[Cause, str] | None:
    if facts.model_id or not facts.billed_as:
        return None
    return Cause.MODEL_UNKNOWN, (
        f"{facts.day}: {facts.named} is on the bill, but no model of this provider in the catalog has that name. "
        "Say which it is with --model THEIRS=OURS, or correct the model's upstream_name."
    )


def _missing(facts: Circumstances) -> tuple[Cause, str] | None:
    if not facts.is_booked:
        return Cause.NOT_THROUGH_HERE, (
            f"{facts.day}: {facts.named} is on the bill, and nothing of it went through Headrace. Look which other "
            "program uses the provider's account or key."
        )
    if not facts.is_billed:
        return Cause.NOT_BILLED, (
            f"{facts.day}: {facts.named} was used here and is not on the bill. Look whether the file covers this day "
            "and every project of the account; a bill may also come late."
        )
    return None


def _of_the_bill(facts: Circumstances) -> tuple[Cause, str] | None:
    if facts.factor is not None and facts.is_billed and facts.is_booked:
        times = f"{abs(facts.factor):,} times {'ours' if facts.factor > 0 else 'smaller than ours'}"
        unit = "cents read as dollars" if facts.factor == UNIT_FACTORS[0] else "another unit"
        unit = "dollars read as cents" if facts.factor == -UNIT_FACTORS[0] else unit
        return Cause.UNIT, (
            f"The bill's amounts are {times}: {unit}. Export them in dollars, or name the file's own format "
            "with --format."
        )
    if facts.shift_hours is not None:
        sign = "+" if facts.shift_hours > 0 else "-"
        return Cause.TIME_ZONE, (
            f"The bill's days are those of UTC{sign}{abs(facts.shift_hours)}, ours are UTC's: with that shift both "
            "agree. Export the bill in UTC."
        )
    return None


def _of_the_figures(drifts: Sequence[Drift], facts: Circumstances) -> tuple[Cause, str]:
    by_name = {drift.name: drift for drift in drifts}
    cost, used = by_name.get("cost_nano"), [drift for drift in drifts if drift.name != "cost_nano"]
    where = f"{facts.day}: {facts.named}"
    if cost is not None and cost.difference and used and all(drift.difference == 0 for drift in used):
        return Cause.PRICES, (
            f"{where} was used as billed, but costs {_by_how_much(cost)}: the prices differ. "
            f"Compare with headrace prices show {facts.model_id or 'MODEL'}, and with the provider's discounts."
        )
    grows = _direction(by_name)
    voids, counted, unsure = (
        facts.count(POSSIBLE_SPEND),
        facts.count(*OURS_COUNTED),
        facts.count(*UNSURE_TO_BE_BILLED),
    )
    if voids and grows >= 0:
        return Cause.BILLED_VOIDS, (
            f"{where}: the bill has more. {_attempts(voids)} voided here after it was sent, and may be billed all the "
            "same; the receipts are below."
        )
    if counted:
        return Cause.ESTIMATED, (
            f"{where}: {_attempts(counted)} counted here, because the provider sent no usage or a contradictory one; "
            "the bill's own count is the true one."
        )
    if unsure and grows <= 0:
        return Cause.UNBILLED, (
            f"{where}: the bill has less. {_attempts(unsure)} broken off, left by the caller or not on the bill: the "
            "provider seems not to bill them."
        )
    if cost is not None and not used:
        return Cause.PRICES, (
            f"{where} costs {_by_how_much(cost)}. The bill tells no tokens: the prices may differ "
            f"(headrace prices show {facts.model_id or 'MODEL'}), or the use; reconcile the usage export too."
        )
    return Cause.UNKNOWN, (
        f"{where} differs, and nothing here explains it. Compare the requests below with the provider's own list; "
        "look whether others use the account."
    )


def _direction(by_name: Mapping[str, Drift]) -> int:
    """Return whether the bill has more (1) or less (-1): by requests, else tokens, else cost."""
    for name in ("requests", "input_tokens", "output_tokens", "cost_nano"):
        drift = by_name.get(name)
        if drift is not None and drift.difference:
            return 1 if drift.difference > 0 else -1
    return 0


def _is_rounding(drifts: Sequence[Drift], facts: Circumstances) -> bool:
    by_name = {drift.name: drift for drift in drifts}
    cost = by_name.get("cost_nano")
    if cost is None or any(drift.difference for drift in drifts if drift is not cost):
        return False
    allowed = facts.step_pico // 2 + ROUNDING_PICO_PER_REQUEST * max(1, facts.requests)
    return facts.is_booked and facts.is_billed and abs(cost.theirs_pico - cost.ours_pico) <= allowed


def _by_how_much(cost: Drift) -> str:
    more = "more" if cost.difference > 0 else "less"
    percent = "" if cost.per_mille is None else f" ({format_percent(cost.per_mille)})"
    return f"${format_nano(abs(cost.difference))} {more} there{percent}"


def format_percent(per_mille: int) -> str:
    """Return thousandths as a signed percentage with one decimal place."""
    whole, tenth = divmod(abs(per_mille), 10)
    return f"{'-' if per_mille < 0 else '+'}{whole}.{tenth} %"


def _attempts(count: int) -> str:
    return "1 attempt was" if count == 1 else f"{count} attempts were"


def _near(value: int, wanted: int) -> bool:
    return abs(value - wanted) * NEAR <= wanted
