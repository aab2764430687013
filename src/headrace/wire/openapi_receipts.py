"""Shapes of receipts in the published description; writing them is receipt_json's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.domain.usage import UsageSource
from headrace.wire.openapi_amounts import Nano, Usd
from headrace.wire.openapi_catalog import Rates, RatesEach
from headrace.wire.openapi_control import ListLinks, ListMeta, Time
from headrace.wire.openapi_decisions import ReceiptRouting
from headrace.wire.openapi_prices import PriceVariants


class ReceiptKey(Struct, kw_only=True):
    """The key that asked."""

    id: str
    name: str


class ReceiptUsage(Struct, kw_only=True):
    """Tokens by class; no token is counted in two. Classes beyond the first six stand here only where there are any."""

    input_fresh: int
    input_cache_read: int
    input_cache_write_5m: int
    input_cache_write_1h: int
    output_text: int
    output_reasoning: int
    input_audio: int | UnsetType = UNSET
    input_audio_cache_read: int | UnsetType = UNSET
    input_image: int | UnsetType = UNSET
    input_image_cache_read: int | UnsetType = UNSET
    output_audio: int | UnsetType = UNSET
    output_image: int | UnsetType = UNSET
    call: int | UnsetType = UNSET
    image: int | UnsetType = UNSET
    search: int | UnsetType = UNSET
    character: int | UnsetType = UNSET
    second: int | UnsetType = UNSET
    estimated: bool
    source: UsageSource
    anomaly: str | None


class ReceiptPrice(Struct, kw_only=True):
    """The price version in force; a line's own price says which of its tiers and windows held."""

    version: str
    source: str
    usd_per_mtok: Rates
    usd_each: RatesEach | UnsetType = UNSET
    variants: PriceVariants | UnsetType = UNSET


class ReceiptLine(Struct, kw_only=True):
    """One priced quantity, per million tokens or characters, else each."""

    kind: str
    quantity: int
    price_usd_per_mtok: str | UnsetType = UNSET
    price_usd_each: str | UnsetType = UNSET
    cost_nano_usd: Nano
    cost_usd: Usd
    charge_nano_usd: Nano
    charge_usd: Usd


class ReceiptReplica(Struct, kw_only=True):
    """The attempt's share of its replica's time, and that time at the replica's price; paid with its hours."""

    seconds: float
    share_nano_usd: Nano
    share_usd: Usd


class ReceiptAttempt(Struct, kw_only=True):
    """One try at one target. `replica` is there where a deployment answered; it is in no sum of the receipt."""

    id: str
    turn: int
    index: int
    state: Literal["held", "sent", "settled", "voided"]
    model: str
    provider: str
    deployment: str | None
    identity: str
    ending: str | None
    error_code: str | None
    upstream_status: int | None
    upstream_request_id: str | None
    held_at: Time
    first_event_at: Time | None
    ended_at: Time | None
    first_event_seconds: float | None
    duration_seconds: float | None
    delivered_bytes: int
    possible_upstream_spend: bool
    bound_nano_usd: Nano
    bound_usd: Usd
    scopes: list[str]
    usage: ReceiptUsage | None
    price: ReceiptPrice
    lines: list[ReceiptLine]
    cost_nano_usd: Nano
    cost_usd: Usd
    charge_nano_usd: Nano
    charge_usd: Usd
    replica: ReceiptReplica | UnsetType = UNSET


class ReceiptHead(Struct, kw_only=True):
    """What a receipt and its entry in a list share."""

    id: str
    object: Literal["request"]
    status: int | None
    created_at: Time
    operation: str
    stream: bool
    key: ReceiptKey
    account: str
    requested_model: str
    served_by: str | None
    route: str | None
    cost_nano_usd: Nano
    cost_usd: Usd
    charge_nano_usd: Nano
    charge_usd: Usd


class ReceiptExcluded(Struct):
    """A model that the plan left out, and why; `provider` is null when it was left out at all of them."""

    model: str
    provider: str | None
    code: str
    reason: str


class Receipt(ReceiptHead, kw_only=True):
    """The full account of one request; `excluded` is what could not serve it, or rested when it began.

    `routing` is there where a router decided, as long as its decisions are kept.
    """

    routing: ReceiptRouting | UnsetType = UNSET
    excluded: list[ReceiptExcluded]
    attempts: list[ReceiptAttempt]


class ReceiptSummary(ReceiptHead, kw_only=True):
    """A receipt as a list shows it; `attempts` is only their number."""

    attempts: int


class ReceiptList(Struct, kw_only=True):
    """The newest requests first."""

    requests: list[ReceiptSummary]
    meta: ListMeta
    links: ListLinks


class ReceiptQuery(Struct, kw_only=True):
    """How many requests are shown."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
