"""The accelerator file's form as types, and the JSON Schema made of them; reading a file is accelerator_file's."""

from __future__ import annotations

import json
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import schema as json_schema

from headrace.domain.accelerator import Billing
from headrace.wire.catalog_schema import Day, ModelId, Text

Slug = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="The accelerator's name in commands: lower-case letters, digits, hyphens.",
    ),
]
Gpus = Annotated[int, Meta(ge=1, le=64, description="How many GPUs the machine has, 1 to 64.")]
HourPrice = Annotated[
    str,
    Meta(
        pattern=r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,6})?$",
        description='Dollars per hour in quotes, at most six decimal places, like "2.59".',
    ),
]
Thousandths = Annotated[
    str,
    Meta(
        pattern=r"^(0|[1-9][0-9]{0,8})(\.[0-9]{1,3})?$",
        description='A plain decimal in quotes, at most three decimal places, like "61.4".',
    ),
]
BillingName = Annotated[Billing, Meta(description='"on_demand" or "spot".')]


class AcceleratorPriceTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[accelerators.prices]]` table: what a machine costs per hour from a date on."""

    effective: Day
    usd_per_hour: HourPrice
    source: Text
    checked_on: Day
    gpus: Gpus = 1
    billing: BillingName = Billing.ON_DEMAND
    regions: Text | UnsetType = UNSET
    note: Text | UnsetType = UNSET


class AcceleratorTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[accelerators]]` table; further prices of a shipped one need only `slug` and `prices`."""

    slug: Slug
    name: Text | UnsetType = UNSET
    maker: Text | UnsetType = UNSET
    memory_gb: Annotated[int, Meta(ge=1, le=10_000, description="Memory of one GPU in GB.")] | UnsetType = UNSET
    memory_mib: (
        Annotated[int, Meta(ge=1, le=10_000_000, description="Memory of one GPU in MiB, as its driver reports it.")]
        | UnsetType
    ) = UNSET
    memory_source: Text | UnsetType = UNSET
    is_processor: Annotated[
        bool, Meta(description="true for a machine's processor, which has no memory of its own.")
    ] = False
    also_known_as: Annotated[tuple[Text, ...], Meta(description="Names that a cloud has for it, in a list.")] = ()
    prices: tuple[AcceleratorPriceTable, ...] = ()


class MeasurementTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[measurements]]` table: what was measured of a model on an accelerator."""

    accelerator: Slug
    models: Annotated[
        tuple[ModelId, ...], Meta(min_length=1, description="The catalog's names of the model, at least one.")
    ]
    source: Text
    checked_on: Day
    measured_on: Day | UnsetType = UNSET
    gpus: Gpus = 1
    output_tokens_per_second: Thousandths | UnsetType = UNSET
    input_tokens_per_second: Thousandths | UnsetType = UNSET
    latency_target_ms: Annotated[int, Meta(ge=1, description="Milliseconds.")] | UnsetType = UNSET
    warm_up_seconds: Thousandths | UnsetType = UNSET
    note: Text | UnsetType = UNSET


class AcceleratorTables(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of accelerators and measurements."""

    accelerators: tuple[AcceleratorTable, ...] = ()
    measurements: tuple[MeasurementTable, ...] = ()


def schema_text() -> str:
    """Return the JSON Schema of an accelerator file as the text of accelerators.schema.json."""
    document = json_schema(AcceleratorTables)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "Headrace accelerator file"
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
