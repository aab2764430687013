"""What a request says of its session at a router, in `X-Model-Affinity` and `x-routing-max-switch-spend-pct`.

Source: https://docs.digitalocean.com/products/inference/how-to/use-inference-router (names and range; read 2026-11).
"""

from __future__ import annotations

import re

from headrace.domain.errors import InvalidRequest
from headrace.domain.session import AFFINITY_OFF
from headrace.wire.openai_chat import show

AFFINITY = b"x-model-affinity"
SWITCH_SPEND = b"x-routing-max-switch-spend-pct"
PPM_PER_PERCENT = 10_000
MOST_PPM = 100 * PPM_PER_PERCENT
_SESSION = re.compile(r"[ -~]{1,256}\Z")
_PERCENT = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,4}))?\Z")


def affinity_of(values: list[bytes]) -> str | None:
    """Return the session that a request names, `none` where it wants none, or None; raises InvalidRequest."""
    if not values:
        return None
    text = values[0].decode("latin-1").strip()
    if len(set(values)) > 1 or _SESSION.match(text) is None:
        raise InvalidRequest(
            "The header X-Model-Affinity must be one session id of 1 to 256 printable ASCII characters, or"
            f' "none", not {show(text)}.',
            param="X-Model-Affinity",
        )
    return AFFINITY_OFF if text.lower() == AFFINITY_OFF else text


def switch_spend_of(values: list[bytes]) -> int | None:
    """Return how much switches may cost, in parts per million, or None where it is not said; raises InvalidRequest."""
    if not values:
        return None
    text = values[0].decode("latin-1").strip()
    found = _PERCENT.match(text)
    ppm = MOST_PPM + 1
    if found is not None and len(set(values)) == 1:
        ppm = int(found[1]) * PPM_PER_PERCENT + int((found[2] or "").ljust(4, "0"))
    if ppm > MOST_PPM:
        raise InvalidRequest(
            f'The header x-routing-max-switch-spend-pct must be a number from 0 to 100, like "12.5", not {show(text)}.',
            param="x-routing-max-switch-spend-pct",
        )
    return ppm
