"""Judging models of the catalogue: which sizes count, what is refused, and which machines hold which model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from headrace.domain.accelerator import Accelerator, AcceleratorBook
from headrace.domain.architecture import ArchitectureBook, CacheLayers
from headrace.domain.catalog import LocalRunning, Model, ModelKind
from headrace.domain.errors import ConfigInvalid, InvalidRequest
from headrace.domain.fit import DEFAULT_CONTEXT, DEFAULT_SLOTS, FitAsked, FitConfig
from headrace.services.fitting import Fitting, sizes_of
from tests.fakes.breakeven import BIG, SMALL, MemoryAccelerators, a_gpu_price
from tests.fakes.nouns import LOCAL, a_model
from tests.fakes.sizes import MemoryArchitectures, an_architecture

CPU = Accelerator("cpu", "CPU", "any", 0, (a_gpu_price("2026-08-01", 1),), is_processor=True)
LONG = replace(a_model(), context_length=131_072)


def fitting(book: ArchitectureBook | None = None) -> Fitting:
    architectures = MemoryArchitectures() if book is None else MemoryArchitectures(book)
    return Fitting(architectures, MemoryAccelerators(AcceleratorBook((BIG, SMALL, CPU))))


def test_the_sizes_are_found_by_the_models_name_or_the_providers() -> None:
    assert fitting().judge(LONG, FitAsked("big")).weight_bytes == 16_000_000_000
    by_upstream = replace(LONG, id="ours", upstream_name="Acme/One-8B")
    fit = fitting().judge(by_upstream, FitAsked("small", 1))
    assert (fit.sentence.startswith("ours needs 2 "), fit.slots) == (True, DEFAULT_SLOTS)


def test_weights_that_lie_here_are_as_large_as_they_are() -> None:
    here = fitting().judge(replace(LONG, local=LOCAL), FitAsked("cpu"))
    assert (here.weight_bytes, here.gpus, here.fits, here.slots) == (1000, 0, True, LOCAL.slots)
    folder = replace(LONG, local=LocalRunning("folders", (), 1, source="/models/one"))
    assert fitting().judge(folder, FitAsked("big")).weight_bytes == 16_000_000_000


def test_a_cloud_name_says_how_many_unless_they_were_asked_for() -> None:
    assert fitting().judge(LONG, FitAsked("gpu-smallx1-20gb")).asked_gpus == 1
    assert fitting().judge(LONG, FitAsked("gpu-smallx8-160gb", 2)).asked_gpus == 2
    assert fitting().judge(LONG, FitAsked("small")).asked_gpus is None


def test_the_context_is_bounded_by_model_and_sizes() -> None:
    assert fitting().judge(LONG, FitAsked("big")).context_length == DEFAULT_CONTEXT
    assert fitting().judge(a_model(), FitAsked("big")).context_length == 4096
    assert fitting().judge(LONG, FitAsked("big", context_length=131_072)).context_length == 131_072
    unbounded = replace(a_model("nobody"), context_length=0)
    assert fitting().judge(unbounded, FitAsked("big", context_length=99)).context_length == 99
    assert fitting().judge(unbounded, FitAsked("big")).context_length == DEFAULT_CONTEXT
    for asked in (0, 4097):
        with pytest.raises(InvalidRequest, match="from 1 to the 4,096 of one") as refused:
            fitting().judge(a_model(), FitAsked("big", context_length=asked))
        assert refused.value.param == "context_length"


@pytest.mark.parametrize(
    ("slots", "gpus", "param"),
    [(0, 1, "slots"), (1025, 1, "slots"), (1, -1, "gpus"), (1, 0, "gpus"), (1, 65, "gpus")],
)
def test_numbers_that_nothing_has_are_refused(slots: int, gpus: int, param: str) -> None:
    with pytest.raises(InvalidRequest, match=f'"{param}" must be from') as refused:
        fitting().judge(LONG, FitAsked("big", gpus, slots=slots))
    assert refused.value.param == param
    with pytest.raises(InvalidRequest, match=f'"{param}" must be from'):
        fitting().judge_all(LONG, FitAsked("", gpus, slots=slots))


def test_an_unknown_accelerator_is_named_with_the_closest() -> None:
    with pytest.raises(InvalidRequest, match=r'No accelerator is named "smal"\. Did you mean "small"\?') as refused:
        fitting().judge(LONG, FitAsked("smal"))
    assert refused.value.code == "unknown_accelerator"
    with pytest.raises(InvalidRequest, match="Known are: big, small, cpu"):
        fitting().judge(LONG, FitAsked("zzzzzz"))


@pytest.mark.parametrize(
    ("accelerator", "asked", "gpus", "usable"),
    [("big", None, 1, 172_800_000_000), ("big", 4, 4, 172_800_000_000), ("cpu", None, 0, 0)],
)
def test_a_model_without_sizes_is_held_back_by_nothing_and_it_is_said(
    accelerator: str, asked: int | None, gpus: int, usable: int
) -> None:
    fit = fitting().judge(a_model("nobody"), FitAsked(accelerator, asked))
    assert (fit.fits, fit.is_computed, fit.gpus, fit.usable_bytes_per_gpu) == (True, False, gpus, usable)
    assert fit.sentence.startswith("unknown: headrace knows no sizes of nobody")


def test_all_accelerators_are_judged_at_once() -> None:
    found = fitting().judge_all(LONG, FitAsked("", 1))
    assert [(each.accelerator.slug, each.fits) for each in found] == [("big", True), ("small", False), ("cpu", True)]


def test_a_wrong_file_of_the_operator_is_the_callers_to_hear() -> None:
    broken = MemoryArchitectures(failure=ConfigInvalid("a.toml:3: wrong", param="x"))
    with pytest.raises(InvalidRequest, match=r"a\.toml:3: wrong"):
        Fitting(broken, MemoryAccelerators()).judge(LONG, FitAsked("big"))


def test_every_machine_that_holds_a_model_alone_is_listed_once_for_each_model() -> None:
    book = ArchitectureBook(
        (
            an_architecture("acme/One-8B", "one"),
            an_architecture("acme/huge", "huge", weight_bytes=10**15),
            an_architecture("acme/odd", "odd", heads=9, cache=(CacheLayers(1, 6, 3),)),
            an_architecture("acme/vectors", "vectors"),
        )
    )
    models: list[Model] = [
        LONG,
        replace(LONG, provider="other"),
        a_model("huge"),
        a_model("odd"),
        a_model("vectors", kind=ModelKind.EMBEDDING),
        a_model("nobody"),
    ]
    assert fitting(book).configs(models) == (
        FitConfig(
            "one", "acme/One-8B", "Acme 8B", ("gpu-bigx1-192gb", "gpu-bigx1-192gb-spot", "gpu-bigx8-1536gb"), False
        ),
        FitConfig("odd", "acme/odd", "Acme 8B", ("gpu-bigx1-192gb", "gpu-bigx1-192gb-spot", "gpu-smallx1-20gb"), False),
    )


def test_what_is_listed_is_accepted_as_it_is_listed() -> None:
    for config in fitting().configs([LONG]):
        for machine in config.machines:
            assert fitting().judge(LONG, FitAsked(machine)).fits


def test_a_models_own_name_goes_before_the_providers() -> None:
    book = ArchitectureBook((an_architecture("upstream-one"), an_architecture("one")))
    assert sizes_of(a_model(), book) == book.architectures[1]
