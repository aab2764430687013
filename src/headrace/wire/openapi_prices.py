"""Shapes of prices in the published description; writing them is price_json's.

Types here only describe: no reply is written and no request is read by them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from headrace.wire.catalog_schema import DayName, TimeOfDay
from headrace.wire.openapi_catalog import Rates, RatesEach

Multiplier = Annotated[str, Meta(description="A decimal text, such as 0.5.")]


class PriceTier(Struct, kw_only=True):
    """The rates of a request with more input than so many tokens."""

    over_input_tokens: int
    usd_per_mtok: Rates
    usd_each: RatesEach | UnsetType = UNSET


class PriceWindow(Struct, kw_only=True):
    """Hours at which the price differs: by a multiplier, or by rates that replace all others."""

    from_utc: TimeOfDay
    to_utc: TimeOfDay
    days: list[DayName]
    multiplier: Multiplier | UnsetType = UNSET
    usd_per_mtok: Rates | UnsetType = UNSET
    usd_each: RatesEach | UnsetType = UNSET


class PriceVariants(Struct, kw_only=True):
    """What a price depends on beside the class."""

    tiers: list[PriceTier]
    windows: list[PriceWindow]
    batch_multiplier: Multiplier | None


class PriceVersion(PriceVariants, kw_only=True):
    """One dated price."""

    version: str
    effective: str
    source: str
    usd_per_mtok: Rates
    usd_each: RatesEach | UnsetType = UNSET
    service_tiers: Annotated[dict[str, Multiplier], Meta(description="What tokens pay in a service tier, by its name.")]
    markup_ppm: Annotated[int, Meta(description="Charge over cost in parts per million.")]
    in_force: bool


class PriceOffer(Struct, kw_only=True):
    """The prices of a model at one provider, oldest first."""

    provider: str
    versions: list[PriceVersion]


class ModelPrices(Struct, kw_only=True):
    """The prices of a model at everybody who serves it."""

    model: str
    offers: list[PriceOffer]


class ModelPricesReply(Struct, kw_only=True):
    """The prices of one model."""

    prices: ModelPrices
