"""Messages to webhooks as bytes: body, signature and headers.

Source: Standard Webhooks 1.0.0, https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
(read 2026-11-25): headers webhook-id, webhook-timestamp and webhook-signature; the symmetric signature `v1,` is the
base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`; a secret is `whsec_` and the base64 of its bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

from headrace.domain.alert import AlertEvent
from headrace.domain.secret import Secret
from headrace.wire.alert_json import event_object
from headrace.wire.iso_time import iso_time
from headrace.wire.json_strict import encode

SERIALIZED = "whsec_"
SECRET_BYTES = 32
FIRED = "alert.fired"
TEST = "webhook.test"


@dataclass(frozen=True, slots=True)
class Message:
    """One message; its id stays the same however often it is sent."""

    id: str
    body: bytes


def event_message(message_id: str, event: AlertEvent) -> Message:
    """Return the message of an alert that fired."""
    content = {"type": FIRED, "timestamp": iso_time(event.at_micros), "data": event_object(event)}
    return Message(message_id, encode(content))


def trial_message(message_id: str, webhook_id: str, at_micros: int) -> Message:
    """Return a message that only shows that messages arrive."""
    content = {"type": TEST, "timestamp": iso_time(at_micros), "data": {"webhook": webhook_id}}
    return Message(message_id, encode(content))


def secret_text(key: bytes) -> Secret:
    """Return a signing key as it is given to its receiver."""
    return Secret(SERIALIZED + base64.b64encode(key).decode())


def signed_headers(message: Message, key: bytes, unix_seconds: int) -> tuple[tuple[str, str], ...]:
    """Return the headers of one attempt; the time is the attempt's."""
    signed = b".".join((message.id.encode(), str(unix_seconds).encode(), message.body))
    signature = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return (
        ("webhook-id", message.id),
        ("webhook-timestamp", str(unix_seconds)),
        ("webhook-signature", f"v1,{signature}"),
    )
