"""The layout of a receipt, at 80 columns."""

from __future__ import annotations

from headrace.cli.receipt_text import receipt_text
from headrace.domain.json_value import JsonObject, JsonValue
from tests.unit.cli.command_line import CommandLine

DIGEST = "b" * 64
SETTLED: JsonObject = {
    "id": "att_2",
    "state": "settled",
    "model": "qwen2.5-coder-0.5b",
    "provider": "embedded",
    "identity": f"sha256:{DIGEST}",
    "ending": "complete",
    "first_event_seconds": 0.191,
    "duration_seconds": 1.309,
    "usage": {"input_fresh": 46, "input_cache_read": 96, "output_text": 61, "estimated": False, "anomaly": None},
    "price": {"version": "embedded:qwen2.5-coder-0.5b@2026-11-01#1a2b3c4d", "usd_per_mtok": {}},
    "lines": [
        {"kind": "input_fresh", "quantity": 46, "price_usd_per_mtok": "0.02", "charge_nano_usd": 920},
        {"kind": "input_cache_read", "quantity": 96, "price_usd_per_mtok": "0.002", "charge_nano_usd": 192},
        {"kind": "output_text", "quantity": 61, "price_usd_per_mtok": "0.06", "charge_nano_usd": 3660},
    ],
    "charge_nano_usd": 4772,
}
VOIDED: JsonObject = {
    "id": "att_1",
    "state": "voided",
    "model": "gpt-5-nano",
    "provider": "openai",
    "identity": "gpt-5-nano-2025-08-07",
    "error_code": "upstream_rate_limited",
    "upstream_status": 429,
    "duration_seconds": 0.213,
    "possible_upstream_spend": True,
    "usage": None,
    "lines": [],
    "charge_nano_usd": 0,
}
RECEIPT: JsonObject = {
    "id": "req_01JDB0000000000000000000",
    "status": 200,
    "created_at": "2026-11-24T14:03:11.123456Z",
    "key": {"id": "k1", "name": "web"},
    "account": "shop",
    "requested_model": "router:support",
    "served_by": "qwen2.5-coder-0.5b",
    "route": "refund-dispute",
    "attempts": [VOIDED, SETTLED],
    "cost_nano_usd": 4772,
    "charge_nano_usd": 4772,
}
TEXT = f"""\
req_01JDB0000000000000000000   200   2026-11-24 14:03:11 UTC
paid by      key "web" (account shop)
asked for    router:support
served by    qwen2.5-coder-0.5b   1.31 s, first token 0.19 s
route        refund-dispute
attempt 1    gpt-5-nano · openai                     429 after 0.21 s   $0
  upstream   gpt-5-nano-2025-08-07
             the upstream may bill this attempt all the same
attempt 2    qwen2.5-coder-0.5b · embedded           ok   $0.000004772
  sha256     {DIGEST}
tokens       prompt 142 (cached 96) · completion 61
price        embedded:qwen2.5-coder-0.5b@2026-11-01#1a2b3c4d
             46 prompt at $0.02/M                    $0.00000092
             96 prompt, cached at $0.002/M           $0.000000192
             61 completion at $0.06/M                $0.00000366
cost         $0.000004772        charge  $0.000004772
"""


def changed(fields: JsonObject) -> str:
    return receipt_text(RECEIPT | fields)


def test_the_whole_layout() -> None:
    ran = CommandLine().answers("GET /v2/requests/req_1", RECEIPT)("receipt", "req_1")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == TEXT.replace("$0.00000092\n", "$0.000000920\n").replace("$0.00000366\n", "$0.000003660\n")
    assert max(map(len, ran.out.splitlines())) <= 80


def test_a_short_owner_stands_on_the_first_line() -> None:
    first = receipt_text(RECEIPT | {"id": "req_1"}).splitlines()[0]
    assert first == 'req_1   200   2026-11-24 14:03:11 UTC   key "web" (account shop)'


def test_a_request_that_nothing_served() -> None:
    text = changed({"served_by": None, "attempts": [VOIDED], "charge_nano_usd": 0, "cost_nano_usd": 0})
    assert "(nothing served it)" in text
    assert text.endswith("cost         $0        charge  $0")


def test_a_request_under_way_shows_its_bound() -> None:
    sent: JsonObject = VOIDED | {"state": "sent", "bound_nano_usd": 1_000_000_000, "possible_upstream_spend": False}
    text = changed({"status": None, "served_by": None, "attempts": [sent]})
    assert "under way" in text
    assert "sent, at most $1.000000000" in text


def test_what_the_plan_left_out_is_told_with_the_reason() -> None:
    why = '"tiny" cannot do what this request needs: image_input. Another sentence says what could be done about it.'
    resting: JsonObject = {"model": "gone", "provider": None, "code": "breaker_open", "reason": ""}
    unfit: JsonObject = {"model": "tiny", "provider": "here", "code": "unsupported_by_model", "reason": why}
    lines = changed({"excluded": [unfit, resting]}).splitlines()
    [first] = [index for index, line in enumerate(lines) if "tiny · here" in line]
    assert lines[first] == f"left out     {'tiny · here':38}  unsupported_by_model"
    assert " ".join(line.strip() for line in lines[first + 1 : first + 3]) == why
    assert lines[first + 3] == f"left out     {'gone':38}  breaker_open"
    assert max(map(len, lines)) <= 80


def test_counts_of_our_own_and_contradictions_are_told() -> None:
    usage: JsonObject = {"input_fresh": 1000, "output_reasoning": 5, "estimated": True, "anomaly": "total is 7"}
    left: JsonObject = {"usage": usage, "ending": "client_closed"}
    text = changed({"attempts": [SETTLED | left]})
    assert "prompt 1,000 · completion 5 (reasoning 5) · counted by Headrace: the upstream did not say" in text
    assert "total is 7" in text
    assert "caller left" in text


def test_what_is_priced_by_the_piece_says_so() -> None:
    lines: list[JsonValue] = [
        {"kind": "image", "quantity": 2, "price_usd_each": "0.065", "charge_nano_usd": 130_000_000},
        {"kind": "character", "quantity": 1_200, "price_usd_per_mtok": "15", "charge_nano_usd": 18_000_000},
        {"kind": "output_image", "quantity": 1_056, "price_usd_per_mtok": "30", "charge_nano_usd": 31_680_000},
    ]
    usage: JsonObject = {"input_fresh": 9, "output_image": 1_056, "image": 2, "character": 1_200}
    priced: JsonObject = {"lines": lines, "usage": usage}
    text = changed({"attempts": [SETTLED | priced]})
    assert "2 images at $0.065 each                 $0.130000000" in text
    assert "1,200 characters at $15/M               $0.018000000" in text
    assert "1,056 images drawn at $30/M             $0.031680000" in text
    assert "prompt 9 · completion 1,056" in text


def test_a_share_of_a_replica_is_told_apart_from_the_charge() -> None:
    share: JsonObject = {"seconds": 0.353, "share_nano_usd": 253_964, "share_usd": "0.000253964"}
    shared: JsonObject = {"replica": share}
    lines = changed({"attempts": [SETTLED | shared]}).splitlines()
    [place] = [index for index, line in enumerate(lines) if line.startswith("replica")]
    assert lines[place] == f"replica      {'0.353 s of its time':38}  $0.000253964"
    assert lines[place + 1] == "             paid with the deployment's hours, not charged here"
    assert lines[place + 2].startswith("cost")
    assert max(map(len, lines)) <= 80


def test_the_json_form_is_the_api_reply() -> None:
    assert CommandLine().answers("GET /v2/requests/req_1", RECEIPT)("receipt", "req_1", "--json").json == RECEIPT


def test_an_id_cannot_reach_another_path() -> None:
    line = CommandLine()
    line("receipt", "../keys?x=1")
    assert line.api.asked == ["GET /v2/requests/..%2Fkeys%3Fx%3D1"]
