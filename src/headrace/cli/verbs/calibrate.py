"""`headrace routers calibrate`: asks models prompts whose answers can be checked, and says how strong they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from cyclopts.types import PositiveInt
from cyclopts.validators import Number

from headrace.cli.calibration_text import Calibrated, calibration_object, calibration_text
from headrace.cli.client import ApiClient, event_object, segment
from headrace.cli.progress import PullProgress
from headrace.cli.replies import dollars, number, part, parts, text, words
from headrace.cli.session import Session
from headrace.cli.verb_shapes import Running, Told, asks_server
from headrace.domain.calibration import PLAIN_CAP, REASONED_CAP, Estimate, Verdict, estimate, spread, tallies
from headrace.domain.checkable import Checkable, is_right
from headrace.domain.decimals import parse_scaled
from headrace.domain.errors import ConfigInvalid, OperatorError
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import NANO_PER_USD
from headrace.domain.strength import Strength, checkable_strength
from headrace.ports.fleet import Progress

CHAT = "/v1/chat/completions"
SOURCE = "headrace routers calibrate"
FREE_NANO = NANO_PER_USD // 10
# Of ten prompts at least nine must have been answered, or what is missing could be what is hard.
ANSWERED_OF_TEN = 9
USD_PER_MTOK_PLACES = 6


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrateFlags:
    """How much is asked, and what becomes of it."""

    limit: Annotated[PositiveInt | None, Parameter(help="Ask only so many prompts, of all kinds.")] = None
    parallel: Annotated[int, Parameter(help="How many prompts are asked at once.", validator=Number(gte=1, lte=64))] = 4
    save: Annotated[
        bool, Parameter(help="Write the strengths to HOME/catalog/routing/strengths.toml.", negative="")
    ] = False
    yes: Annotated[bool, Parameter(help="Go on when it is expected to cost more than $0.10.", negative="")] = False


PLAIN = CalibrateFlags()


@dataclass(frozen=True, slots=True)
class _Subject:
    """A model that is to be asked: the longest answer it may give, and what all prompts cost; None without a price."""

    model: str
    cap: int
    cost: Estimate | None


@asks_server
def calibrate(client: ApiClient, *models: str, calibrate_flags: CalibrateFlags = PLAIN, session: Running) -> Told:
    """Ask models prompts with known answers, and estimate how strong each model is.

    Every prompt is an ordinary request with your key and is charged like one.

    Parameters
    ----------
    models:
        The chat models. Default: the embedded ones that can be called.
    """
    if calibrate_flags.save and calibrate_flags.limit is not None:
        raise ConfigInvalid("--save and --limit exclude each other: strengths compare only on the whole set.")
    day, every = session.local.checkable()
    items = spread(every, calibrate_flags.limit)
    subjects = [_subject(each, items) for each in _entries(client, models)]
    _announce(session, subjects, len(items), sure=calibrate_flags.yes)
    with PullProgress(session.stderr, "asking") as show:
        answers = [_shown(show, client, each, items, calibrate_flags.parallel) for each in subjects]
    home = client.access.home
    found = [
        Calibrated(each.model, verdicts, _strength(each.model, verdicts, day))
        for each, verdicts in zip(subjects, answers, strict=True)
    ]
    strengths = tuple(each.strength for each in found if each.strength is not None)
    saved = session.local.save_strengths(home / "catalog", strengths) if calibrate_flags.save and strengths else None
    reply = calibration_object(found, saved)
    return Told(reply, calibration_text(found, saved), status=0 if len(strengths) == len(found) else 1)


def _entries(client: ApiClient, models: Sequence[str]) -> list[JsonObject]:
    if not models:
        listed = parts(client.get("/v1/models", "key"), "data")
        here = [each for each in listed if text(each, "type") == "chat" and each.get("runs_here") is True]
        if not here:
            raise OperatorError(
                "no chat model of this machine can be called. Name others, or see: headrace models --all",
                code="no_model",
            )
        return here
    named = [client.get(f"/v1/models/{segment(each)}", "key") for each in dict.fromkeys(models)]
    for each in named:
        if text(each, "type") != "chat":
            raise ConfigInvalid(f'"{text(each, "id")}" is no chat model but: {text(each, "type")}. Name a chat model.')
    return named


def _subject(entry: JsonObject, items: Sequence[Checkable]) -> _Subject:
    reasons = "reasoning" in words(entry.get("capabilities"))
    cap = min(REASONED_CAP if reasons else PLAIN_CAP, number(entry, "max_output_tokens") or REASONED_CAP)
    prices = part(entry, "prices_usd_per_mtok")
    try:
        asked, said = (parse_scaled(text(prices, name), USD_PER_MTOK_PLACES) for name in ("input_fresh", "output_text"))
    except ValueError:
        return _Subject(text(entry, "id"), cap, None)
    return _Subject(text(entry, "id"), cap, estimate(items, asked, said, reasons=reasons))


def _announce(session: Session, subjects: Sequence[_Subject], prompts: int, *, sure: bool) -> None:
    """Say what it will cost before it does; raises ConfigInvalid when that is much and was not agreed to."""
    for each in subjects:
        told = "it has no price" if each.cost is None else _cost(each.cost.expected_nano, each.cost.most_nano)
        session.note(f"{each.model}: {prompts} prompts, {told}")
    total = sum(each.cost.expected_nano for each in subjects if each.cost is not None)
    if total > FREE_NANO and not sure:
        raise ConfigInvalid(f"this is expected to cost {dollars(total)}, more than $0.10. Add --yes.")


def _cost(expected_nano: int, most_nano: int) -> str:
    return f"about {dollars(expected_nano)}, at most {dollars(most_nano)}"


def _shown(
    show: PullProgress, client: ApiClient, subject: _Subject, items: Sequence[Checkable], parallel: int
) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for verdict in _verdicts(client, subject, items, parallel):
        verdicts.append(verdict)
        show(Progress(subject.model, len(verdicts), len(items), "prompts"))
    return verdicts


def _verdicts(client: ApiClient, subject: _Subject, items: Sequence[Checkable], parallel: int) -> Iterator[Verdict]:
    """The first prompt goes alone: what a model refuses, it refuses of every prompt."""
    first, ask = _first(client, subject, items[0])
    yield first
    if first.is_right is None:
        return
    pool = ThreadPoolExecutor(parallel)
    try:
        yield from pool.map(_patient(ask), items[1:])
    finally:
        pool.shutdown(cancel_futures=True)


def _first(client: ApiClient, subject: _Subject, item: Checkable) -> tuple[Verdict, Callable[[Checkable], Verdict]]:
    """Return the first verdict and how to ask the others: without a temperature where the model takes none."""
    exactly, freely = _asking(client, subject, {"temperature": 0}), _asking(client, subject, {})
    try:
        return exactly(item), exactly
    except OperatorError as error:
        if error.param == "temperature":
            return _patient(freely)(item), freely
        return Verdict(item, None, problem=error.message), exactly


def _asking(client: ApiClient, subject: _Subject, sampling: JsonObject) -> Callable[[Checkable], Verdict]:
    settings: JsonObject = {
        "model": subject.model,
        "max_tokens": subject.cap,
        "stream": True,
        "stream_options": {"include_usage": True},
        **sampling,
    }

    def ask(item: Checkable) -> Verdict:
        messages: list[JsonValue] = [{"role": "user", "content": item.prompt}]
        said: list[str] = []
        money: JsonObject = {}
        with client.events(CHAT, "key", {**settings, "messages": messages}) as events:
            for chunk in map(event_object, events.data):
                money = part(chunk, "headrace") or money
                said += [text(part(choice, "delta"), "content") for choice in parts(chunk, "choices")[:1]]
        if not money:
            raise OperatorError("the reply ended before it was whole.", code="reply_broken")
        return Verdict(item, is_right(item, "".join(said)), number(money, "cost_nano_usd"))

    return ask


def _patient(ask: Callable[[Checkable], Verdict]) -> Callable[[Checkable], Verdict]:
    """One prompt that fails does not undo the others, which were paid for."""

    def asked(item: Checkable) -> Verdict:
        try:
            return ask(item)
        except OperatorError as error:
            return Verdict(item, None, problem=error.message)

    return asked


def _strength(model: str, verdicts: Sequence[Verdict], day: str) -> Strength | None:
    kinds = tallies(verdicts)
    total = sum(each.total for each in kinds)
    if total * 10 < len(verdicts) * ANSWERED_OF_TEN:
        return None
    return checkable_strength(model, sum(each.right for each in kinds), total, SOURCE, day)
