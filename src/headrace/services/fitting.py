"""Judges whether models fit on accelerators, from the files that say how large both are; the sums are domain/fit's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from headrace.domain.accelerator import Accelerator, AcceleratorBook, gpus_named
from headrace.domain.architecture import Architecture, ArchitectureBook
from headrace.domain.catalog import Model, ModelKind
from headrace.domain.errors import ConfigInvalid, InvalidRequest
from headrace.domain.fit import (
    DEFAULT_CONTEXT,
    DEFAULT_SLOTS,
    GPU_COUNTS,
    Fit,
    FitAsked,
    FitConfig,
    FitQuestion,
    judge,
    need,
    usable_bytes,
)
from headrace.domain.names import did_you_mean
from headrace.ports.accelerators import Accelerators
from headrace.ports.architectures import Architectures

T = TypeVar("T")
MOST_GPUS, MOST_SLOTS = 64, 1024


class Fitting:
    """Judges with the files as they are written now; every method reads them, so call it off the loop."""

    def __init__(self, architectures: Architectures, accelerators: Accelerators) -> None:
        self._architectures = architectures
        self._accelerators = accelerators

    def judge(self, model: Model, asked: FitAsked) -> Fit:
        """Return whether a model fits as asked; what headrace knows no sizes of is held back by nothing, and says so.

        Raises InvalidRequest for an unknown accelerator and for numbers that no model could have.
        """
        accelerators = _operators(self._accelerators.read)
        architecture = sizes_of(model, _operators(self._architectures.read))
        return _judged(model, architecture, *_machine(asked, accelerators), asked)

    def judge_all(self, model: Model, asked: FitAsked) -> tuple[Fit, ...]:
        """Return the same for every accelerator of the catalogue, whichever is asked about, in its order."""
        architecture, gpus = sizes_of(model, _operators(self._architectures.read)), _gpus(asked, 1)
        return tuple(
            _judged(model, architecture, each, None if each.is_processor else gpus, asked)
            for each in _operators(self._accelerators.read).accelerators
        )

    def configs(self, models: Iterable[Model]) -> tuple[FitConfig, ...]:
        """Return for each model whose sizes are known, once, the machines that hold it alone, in their order.

        A machine is one that has a price, of any date. Machines that hold none of it are left out with the model.
        """
        book, accelerators = _operators(self._architectures.read), _operators(self._accelerators.read)
        found: dict[str, FitConfig] = {}
        for model in models:
            architecture = sizes_of(model, book)
            if architecture is None or model.kind is not ModelKind.CHAT or model.id in found:
                continue
            machines = tuple(_holding(model, architecture, accelerators))
            if machines:
                slug = architecture.models[0]
                found[model.id] = FitConfig(model.id, slug, architecture.name, machines, architecture.is_gated)
        return tuple(found.values())


def sizes_of(model: Model, book: ArchitectureBook) -> Architecture | None:
    """Return what is known of a model's sizes; weights that lie here are as large as they are."""
    found = book.find(model.id, model.upstream_name)
    if found is None or model.local is None or not model.local.weights:
        return found
    return replace(found, weight_bytes=sum(each.size_bytes for each in model.local.weights))


def slots_of(model: Model) -> int:
    """Return how many requests a replica answers at once where nobody says it."""
    return model.local.slots if model.local is not None else DEFAULT_SLOTS


def _operators(read: Callable[[], T]) -> T:
    try:
        return read()
    except ConfigInvalid as error:
        raise InvalidRequest(error.message, code=error.code, param=error.param, extra=error.extra) from error


def _context(model: Model, architecture: Architecture | None, asked: FitAsked) -> int:
    known = [each for each in (model.context_length, architecture.context_length if architecture else 0) if each]
    most = min(known, default=asked.context_length or DEFAULT_CONTEXT)
    if asked.context_length is None:
        return min(DEFAULT_CONTEXT, most)
    if not 1 <= asked.context_length <= most:
        raise InvalidRequest(
            f'"context_length" must be from 1 to the {most:,} of {model.id}, not {asked.context_length:,}.',
            param="context_length",
        )
    return asked.context_length


def _unknown(model: Model, accelerator: Accelerator, gpus: int | None, context: int, slots: int) -> Fit:
    return Fit(
        fits=True,
        gpus=0 if accelerator.is_processor else gpus or 1,
        accelerator=accelerator,
        weight_bytes=0,
        cache_bytes=0,
        overhead_bytes=0,
        usable_bytes_per_gpu=0 if accelerator.is_processor else usable_bytes(accelerator),
        context_length=context,
        slots=slots,
        sentence=(
            f"unknown: headrace knows no sizes of {model.id}, so whether it fits was not computed. "
            "Add them to HOME/architectures.toml."
        ),
        is_computed=False,
        asked_gpus=gpus,
    )


def _holding(model: Model, architecture: Architecture, book: AcceleratorBook) -> Iterator[str]:
    context = _context(model, architecture, FitAsked(""))
    for name, accelerator, gpus in book.machine_names():
        question = FitQuestion(model.id, architecture, accelerator, context, slots_of(model))
        holds = need(question, gpus).fits_in(usable_bytes(accelerator))
        if gpus in GPU_COUNTS and architecture.splits_over(gpus) and holds:
            yield name


def _machine(asked: FitAsked, book: AcceleratorBook) -> tuple[Accelerator, int | None]:
    """Return the accelerator, and how many of it were asked for, if that was said."""
    found = book.find_machine(asked.accelerator)
    if found is None:
        hint = did_you_mean(asked.accelerator, book.names())
        slugs = ", ".join(each.slug for each in book.accelerators)
        raise InvalidRequest(
            f'No accelerator is named "{asked.accelerator[:80]}". {hint or f"Known are: {slugs}."}',
            code="unknown_accelerator",
            param="accelerator",
        )
    accelerator, gpus = found
    if accelerator.is_processor:
        return accelerator, _gpus(asked, 0) or gpus
    return accelerator, _gpus(asked, 1) or gpus_named(asked.accelerator)


def _gpus(asked: FitAsked, least: int) -> int | None:
    if asked.gpus is not None and not least <= asked.gpus <= MOST_GPUS:
        raise InvalidRequest(f'"gpus" must be from {least} to {MOST_GPUS}, not {asked.gpus}.', param="gpus")
    return asked.gpus


def _judged(
    model: Model, architecture: Architecture | None, accelerator: Accelerator, gpus: int | None, asked: FitAsked
) -> Fit:
    context = _context(model, architecture, asked)
    slots = slots_of(model) if asked.slots is None else asked.slots
    if not 1 <= slots <= MOST_SLOTS:
        raise InvalidRequest(f'"slots" must be from 1 to {MOST_SLOTS}, not {slots}.', param="slots")
    if architecture is None:
        return _unknown(model, accelerator, gpus, context, slots)
    return judge(FitQuestion(model.id, architecture, accelerator, context, slots, gpus))
