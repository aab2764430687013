"""Messages are signed as the specification says, checked here by a computation of our own and by its examples' form."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.alert import Action, ActionKind, ActionResult, AlertEvent, Metric
from headrace.wire.webhook_message import event_message, secret_text, signed_headers, trial_message

NOON = 1_795_521_600_000_000
EVENT = AlertEvent(
    id="evt_1",
    alert_id="alr_1",
    alert_name="crew spends",
    metric=Metric.BUDGET_USED,
    scope="budget:bud_1",
    threshold=80,
    value=83_416,
    base=100_000,
    window_starts_at_micros=NOON,
    at_micros=NOON + 1_500_000,
    webhooks=("whk_1",),
    action=Action(ActionKind.REVOKE_KEY, "abc"),
    result=ActionResult(False, "last_admin_token", "This is the last one."),
)


def test_the_body_says_what_fired_and_what_was_done() -> None:
    body = json.loads(event_message("msg_1", EVENT).body)
    assert body == {
        "type": "alert.fired",
        "timestamp": "2026-11-24T12:00:01.500000Z",
        "data": {
            "id": "evt_1",
            "alert": {"id": "alr_1", "name": "crew spends"},
            "metric": "budget_used",
            "scope": "budget:bud_1",
            "threshold_percent": 80,
            "threshold_usd": None,
            "threshold_nano_usd": None,
            "value_percent": 83.42,
            "value_usd": None,
            "value_nano_usd": None,
            "window_starts_at": "2026-11-24T12:00:00.000000Z",
            "at": "2026-11-24T12:00:01.500000Z",
            "action": {"kind": "revoke_key", "key": "abc"},
            "result": {"done": False, "code": "last_admin_token", "message": "This is the last one."},
        },
    }


def test_the_signature_is_of_id_time_and_body() -> None:
    message, key = trial_message("msg_2", "whk_1", NOON), bytes(range(32))
    headers = dict(signed_headers(message, key, 1_795_521_600))
    signed = b"msg_2.1795521600." + message.body
    version, _, given = headers["webhook-signature"].partition(",")
    assert version == "v1"
    assert base64.b64decode(given, validate=True) == hmac.new(key, signed, hashlib.sha256).digest()
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_2", "1795521600")


def test_the_known_answer_of_the_specifications_libraries() -> None:
    """Source: the test of the reference libraries, https://github.com/standard-webhooks/standard-webhooks."""
    secret = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    message = trial_message("msg_p5jXN8AQM9LWM0D4loKWxJek", "whk_1", NOON)
    message = type(message)(message.id, b'{"test": 2432232314}')
    headers = dict(signed_headers(message, base64.b64decode(secret), 1_614_265_330))
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_reads_as_the_specification_says() -> None:
    text = secret_text(bytes(32)).reveal()
    assert text.startswith("whsec_")
    assert base64.b64decode(text.removeprefix("whsec_"), validate=True) == bytes(32)


def test_the_snippet_of_the_documents_verifies_a_message_and_nothing_else() -> None:
    text = (Path(__file__).parents[3] / "docs/alerts.md").read_text()
    (snippet,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(snippet, names)
    now, key = int(names["time"].time()), bytes(range(32))
    message, secret = trial_message("msg_1", "whk_1", NOON), secret_text(bytes(range(32))).reveal()
    verify, headers = names["verify"], dict(signed_headers(message, key, now))
    verify(secret, headers, message.body)
    rotated = {**headers, "webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}
    verify(secret, rotated, message.body)
    old = dict(signed_headers(message, key, now - 301))
    for wrong, body in ((headers, message.body + b" "), ({**headers, "webhook-id": "msg_2"}, message.body)):
        with pytest.raises(ValueError, match="not signed"):
            verify(secret, wrong, body)
    with pytest.raises(ValueError, match="too old"):
        verify(secret, old, message.body)
