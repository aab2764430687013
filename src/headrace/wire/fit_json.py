"""The question whether a model fits, read, and its answer, written; judging is fitting's."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.accelerator import Accelerator
from headrace.domain.errors import InvalidRequest
from headrace.domain.fit import Fit, FitAsked
from headrace.domain.json_value import JsonObject, JsonValue

FIELDS = frozenset({"model", "accelerator", "gpus", "context_length", "slots"})
LARGEST = 100_000_000
SHOWN = 60


def read_fit(body: JsonObject) -> tuple[str, FitAsked]:
    """Return the model's name and what is asked of it; raises InvalidRequest naming the field."""
    model = _text(body, "model")
    if model is None:
        raise InvalidRequest('Which model? Give "model", a name of the catalog.', param="model")
    return model, FitAsked(
        accelerator=_text(body, "accelerator") or "",
        gpus=_whole(body, "gpus", 0),
        context_length=_whole(body, "context_length", 1),
        slots=_whole(body, "slots", 1),
    )


def fits_object(model: str, fits: Sequence[Fit]) -> JsonObject:
    """Return the answers; sizes are whole bytes, of all accelerators of one replica together."""
    return {"model": model, "fits": [_fit_object(each) for each in fits]}


def _fit_object(fit: Fit) -> JsonObject:
    needed = fit.weight_bytes + fit.cache_bytes + fit.overhead_bytes
    return {
        "fits": fit.fits,
        "computed": fit.is_computed,
        "answer": fit.sentence,
        "accelerator": _accelerator_object(fit.accelerator),
        "gpus": fit.gpus,
        "asked_gpus": fit.asked_gpus,
        "context_length": fit.context_length,
        "slots": fit.slots,
        "weight_bytes": fit.weight_bytes if fit.is_computed else None,
        "cache_bytes": fit.cache_bytes if fit.is_computed else None,
        "overhead_bytes": fit.overhead_bytes if fit.is_computed else None,
        "needed_bytes": needed if fit.is_computed else None,
        "usable_bytes_per_gpu": fit.usable_bytes_per_gpu,
        "sizes": fit.status.value if fit.is_computed else "unknown",
        "source": fit.source or None,
    }


def _accelerator_object(accelerator: Accelerator) -> JsonObject:
    return {
        "slug": accelerator.slug,
        "name": accelerator.name,
        "memory_bytes": None if accelerator.is_processor else accelerator.memory_bytes,
    }


def _text(body: JsonObject, name: str) -> str | None:
    value = body.get(name)
    if value is None or (isinstance(value, str) and 0 < len(value) <= 256):
        return value
    raise InvalidRequest(f'"{name}" must be a text of 1 to 256 characters, not {_shown(value)}.', param=name)


def _whole(body: JsonObject, name: str, least: int) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= LARGEST:
        return value
    raise InvalidRequest(f'"{name}" must be a whole number from {least}, not {_shown(value)}.', param=name)


def _shown(value: JsonValue) -> str:
    return f'"{value[:SHOWN]}"' if isinstance(value, str) else str(value)[:SHOWN]
