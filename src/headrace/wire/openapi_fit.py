"""Shapes of fit in the published description; reading and writing is fit_json's."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0)]
Bytes = Annotated[int, Meta(ge=0, description="Whole bytes, on all accelerators together.")]


class FitBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """A question; without an accelerator it is about each of them, without `gpus` about the fewest that are enough."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    accelerator: (
        Annotated[str, Meta(min_length=1, max_length=256, description="A slug, or a cloud's name for a machine.")]
        | None
    ) = None
    gpus: Count | None = None
    context_length: Annotated[int, Meta(ge=1)] | None = None
    slots: Annotated[int, Meta(ge=1)] | None = None


class FitAccelerator(Struct, kw_only=True):
    """The accelerator that was asked about; a processor has no memory of its own."""

    slug: str
    name: str
    memory_bytes: int | None


class FitAnswer(Struct, kw_only=True):
    """One answer: `gpus` is the fewest that are enough. Nothing is computed of a model whose sizes are not known."""

    fits: bool
    computed: bool
    answer: str
    accelerator: FitAccelerator
    gpus: Count
    asked_gpus: Count | None
    context_length: Count
    slots: Count
    weight_bytes: Bytes | None
    cache_bytes: Bytes | None
    overhead_bytes: Bytes | None
    needed_bytes: Bytes | None
    usable_bytes_per_gpu: Count
    sizes: Literal["verified", "derived", "unknown"]
    source: str | None


class FitReport(Struct, kw_only=True):
    """The answers: one for the accelerator that was named, or one for each."""

    model: str
    fits: list[FitAnswer]
