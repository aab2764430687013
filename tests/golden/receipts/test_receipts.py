"""A receipt and its summary are written exactly like the files beside this one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.json_value import JsonObject
from headrace.domain.plan import Excluded
from headrace.domain.price import Line
from headrace.domain.receipt import Receipt
from headrace.domain.usage import TokenClass, UnitClass, Usage
from headrace.wire.receipt_json import receipt_object, receipt_summary
from tests.control_world import make_attempt, make_receipt
from tests.fakes.decisions import SWITCH, a_decision

FOLDER = Path(__file__).parent


def fallen_back() -> Receipt:
    """One attempt was refused upstream, the next one served."""
    return make_receipt("req_1", "k1")


def held_only() -> Receipt:
    """The first attempt is still under way: no usage, no ending, no time but the hold's; two models were left out."""
    attempt = replace(
        make_attempt(0),
        state="held",
        usage=None,
        lines=(),
        ending=None,
        first_event_at_micros=None,
        ended_at_micros=None,
        upstream_status=None,
        upstream_request_id=None,
        delivered_bytes=0,
    )
    excluded = (
        Excluded("blind", "acme", "unsupported_by_model", '"blind" cannot do what this request needs: image_input.'),
        Excluded("locked", "", "model_forbidden", 'The key "web" may not call "locked".'),
    )
    return replace(make_receipt("req_2", "k1"), status=None, route="refund", attempts=(attempt,), excluded=excluded)


def counted_by_us() -> Receipt:
    """The usage is our own count and the upstream's block contradicted itself."""
    usage = Usage(input_fresh=10, input_cache_read=96, output_reasoning=3, source="counted", anomaly="total_mismatch")
    attempt = replace(make_attempt(0), usage=usage, ending="client_closed", parent_attempt_id="att_9")
    return replace(make_receipt("req_3", "k1"), attempts=(attempt,))


def by_the_piece() -> Receipt:
    """Audio was heard and the web was searched, at a price with a tier, hours and a batch price."""
    usage = Usage(
        input_fresh=100,
        output_text=7,
        more=((TokenClass.INPUT_AUDIO, 90), (UnitClass.SEARCH, 2), (UnitClass.CHARACTER, 3)),
    )
    lines = (
        Line("input_fresh", 100, 20_000, 2_000, 2_000),
        Line("input_audio", 90, 640_000, 57_600, 57_600),
        Line("search", 2, 10_000_000_000, 20_000_000, 20_000_000),
        Line("character", 3, 15_000_000, 45_000, 45_000),
    )
    rates = {"input_fresh": 20_000, "input_audio": 640_000, "search": 10_000_000_000, "character": 15_000_000}
    tier = {"over_input_tokens": 200_000, "rates_pico": {"input_fresh": 40_000}}
    window = {"from_minute": 990, "to_minute": 30, "days": [0, 4], "multiplier_ppm": 500_000}
    variants = json.dumps({"tiers": [tier], "windows": [window], "batch_ppm": 500_000})
    attempt = replace(make_attempt(0), usage=usage, lines=lines, rates_pico=rates, variants=variants)
    return replace(make_receipt("req_4", "k1"), attempts=(attempt,))


def routed() -> Receipt:
    return replace(
        make_receipt("req_5", "k1"), route="refund", decision=a_decision(switch=SWITCH, basis="switch_vetoed")
    )


def of_a_deployment() -> Receipt:
    """A deployment answered: nothing is charged for tokens, and a share of the replica's time is told apart."""
    lines = (Line("input_fresh", 142, 0, 0, 0), Line("output_text", 61, 0, 0, 0))
    attempt = replace(
        make_attempt(0),
        model_id="prod-llm",
        provider="dedicated",
        deployment="dep_1",
        identity="Qwen/Qwen2.5-14B-Instruct",
        price_version="dedicated/prod-llm@2026-11-01",
        rates_pico={"input_fresh": 0, "output_text": 0},
        bound_nano=0,
        lines=lines,
        share_micros=353_000,
        share_nano=253_964,
    )
    return replace(make_receipt("req_6", "k1"), requested_model="prod-llm", attempts=(attempt,))


@pytest.mark.parametrize("case", [fallen_back, held_only, counted_by_us, by_the_piece, routed, of_a_deployment])
def test_a_receipt_reads_like_its_file(case: Callable[[], Receipt]) -> None:
    assert receipt_object(case()) == expected(case.__name__)


def test_a_summary_reads_like_its_file() -> None:
    assert receipt_summary(fallen_back()) == expected("summary")


def expected(name: str) -> JsonObject:
    loaded: JsonObject = json.loads((FOLDER / f"{name}.json").read_bytes())
    return loaded
