"""A receipt and its summary are written exactly like the files beside this one."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.json_value import JsonObject
from headrace.domain.receipt import Receipt
from headrace.domain.usage import Usage
from headrace.wire.receipt_json import receipt_object, receipt_summary
from tests.control_world import make_attempt, make_receipt

FOLDER = Path(__file__).parent


def fallen_back() -> Receipt:
    """One attempt was refused upstream, the next one served."""
    return make_receipt("req_1", "k1")


def held_only() -> Receipt:
    """The first attempt is still under way: no usage, no ending, no time but the hold's."""
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
    return replace(make_receipt("req_2", "k1"), status=None, route="refund", attempts=(attempt,))


def counted_by_us() -> Receipt:
    """The usage is our own count and the upstream's block contradicted itself."""
    usage = Usage(input_fresh=10, input_cache_read=96, output_reasoning=3, source="counted", anomaly="total_mismatch")
    attempt = replace(make_attempt(0), usage=usage, ending="client_closed", parent_attempt_id="att_9")
    return replace(make_receipt("req_3", "k1"), attempts=(attempt,))


@pytest.mark.parametrize("case", [fallen_back, held_only, counted_by_us])
def test_a_receipt_reads_like_its_file(case: Callable[[], Receipt]) -> None:
    assert receipt_object(case()) == expected(case.__name__)


def test_a_summary_reads_like_its_file() -> None:
    assert receipt_summary(fallen_back()) == expected("summary")


def expected(name: str) -> JsonObject:
    loaded: JsonObject = json.loads((FOLDER / f"{name}.json").read_bytes())
    return loaded
