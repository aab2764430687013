"""Fit: known models on known GPUs, what grows with what, and the sentence that says it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.domain.accelerator import Accelerator
from headrace.domain.architecture import Architecture, CacheLayers, FactStatus
from headrace.domain.fit import (
    GPU_COUNTS,
    GPU_OVERHEAD,
    PROCESSOR_OVERHEAD,
    Fit,
    FitQuestion,
    gigabytes,
    judge,
    need,
    usable_bytes,
)
from tests.fakes.sizes import an_architecture

H100 = Accelerator("h100", "H100", "NVIDIA", 80, (), memory_mib=81_559)
MI300X = Accelerator("mi300x", "MI300X", "AMD", 192, (), memory_mib=196_592)
SMALL = Accelerator("small", "Small", "Acme", 20, ())
CPU = Accelerator("cpu", "CPU", "any", 0, (), is_processor=True)
LLAMA_70B = replace(
    an_architecture(weight_bytes=141_107_412_992, heads=64, cache=(CacheLayers(80, 2 * 8 * 128, 8),)), hidden_size=8192
)
GPT_OSS_120B = replace(
    an_architecture(
        weight_bytes=65_248_815_744,
        heads=64,
        cache=(CacheLayers(18, 2 * 8 * 64, 8), CacheLayers(18, 2 * 8 * 64, 8, window=128)),
    ),
    hidden_size=2880,
    vocabulary=201_088,
)
LATENT = an_architecture(weight_bytes=688_586_727_753, heads=128, cache=(CacheLayers(61, 576, 1),))


def asked(
    architecture: Architecture,
    accelerator: Accelerator = H100,
    gpus: int | None = None,
    context: int = 8192,
    slots: int = 1,
) -> Fit:
    return judge(FitQuestion("it", architecture, accelerator, context, slots, gpus))


def test_a_model_of_120b_in_four_bits_fits_on_one_mi300x_and_on_one_h100() -> None:
    assert asked(GPT_OSS_120B, MI300X, 1, 131_072, 16).fits
    assert asked(GPT_OSS_120B, H100, 1, 8192, 8).fits


def test_a_model_of_70b_in_sixteen_bits_needs_two_h100_and_the_sentence_has_every_figure() -> None:
    fit = asked(LLAMA_70B, H100, 1)
    assert (fit.fits, fit.gpus, fit.asked_gpus, fit.is_computed) == (False, 2, 1, True)
    assert fit.sentence == (
        "it needs 2 × H100 (weights 141.2 GB + cache 2.7 GB for 1 × 8,192 tokens + overhead 4.2 GB = 148.0 GB; "  # noqa: RUF001 - as it is shown
        "one H100 has 77.0 GB usable (90 % of 85.6 GB)); you asked for 1."
    )
    assert asked(LLAMA_70B, H100, 2).fits
    assert asked(LLAMA_70B, H100).gpus == 2
    assert asked(LLAMA_70B, MI300X, 1).fits


def test_more_gpus_than_are_needed_fit_too_and_their_share_is_what_is_told() -> None:
    fit = asked(LLAMA_70B, H100, 8)
    assert (fit.fits, fit.gpus) == (True, 2)
    assert fit.overhead_bytes == GPU_OVERHEAD.bytes_of(LLAMA_70B, 1) * 8
    assert "fits on 8 " in fit.sentence


def test_what_no_number_of_gpus_holds_is_said_with_what_would_help() -> None:
    fit = asked(LLAMA_70B, SMALL, 4)
    assert (fit.fits, fit.gpus) == (False, 8)
    assert "does not fit on 8 " in fit.sentence
    assert fit.sentence.endswith("). Even without a cache it is too large: take an accelerator with more memory.")
    many = asked(LLAMA_70B, MI300X, context=131_072, slots=500)
    assert many.sentence.endswith("Take an accelerator with more memory, a context below 131,072 or fewer slots.")
    alone = asked(LLAMA_70B, H100, context=12_000_000)
    assert alone.sentence.endswith("Take an accelerator with more memory or a context below 12,000,000.")


@pytest.mark.parametrize("gpus", [3, 16])
def test_heads_are_not_divided_with_a_rest(gpus: int) -> None:
    fit = asked(LLAMA_70B, H100, gpus)
    assert not fit.fits
    assert f"cannot be divided among {gpus} " in fit.sentence
    why = "it has 64 attention heads" if gpus == 3 else "one replica runs on 8 at most"
    assert f": {why} (1, 2, 4, 8 are possible). It needs 2 (" in fit.sentence


def test_a_model_whose_heads_cannot_be_halved_is_tried_on_one() -> None:
    odd = an_architecture(heads=9, cache=(CacheLayers(30, 2 * 3 * 64, 3),))
    assert asked(odd, H100).gpus == 1
    assert not asked(odd, H100, 2).fits


def test_compressed_vectors_are_on_every_gpu_and_heads_are_copied_where_there_are_too_few() -> None:
    assert LATENT.cache_bytes_on(8, 1000, 2) == 8 * LATENT.cache_bytes(1000, 2) == 8 * 2 * 61 * 576 * 2 * 1000
    few = an_architecture(cache=(CacheLayers(10, 2 * 2 * 64, 2),))
    assert few.cache_bytes_on(2, 1000, 1) == few.cache_bytes(1000, 1)
    assert few.cache_bytes_on(8, 1000, 1) == 4 * few.cache_bytes(1000, 1)


def test_windows_states_and_joined_entries_bound_what_is_kept() -> None:
    windowed = an_architecture(cache=(CacheLayers(2, 100, 1, window=128),))
    assert windowed.cache_bytes(64, 1) * 2 == windowed.cache_bytes(128, 1) == windowed.cache_bytes(99_999, 1)
    joined = an_architecture(cache=(CacheLayers(1, 10, 1, tokens_per_entry=4, element_bytes=1),))
    assert [joined.cache_bytes(tokens, 1) for tokens in (1, 4, 5)] == [10, 10, 20]
    recurrent = replace(an_architecture(cache=()), state_bytes=7)
    assert recurrent.cache_bytes(1, 3) == recurrent.cache_bytes_on(8, 9_999, 3) == 21


def test_a_processor_is_not_measured_against_and_has_no_gpus() -> None:
    fit = asked(LLAMA_70B, CPU, 0)
    assert (fit.fits, fit.gpus, fit.usable_bytes_per_gpu) == (True, 0, 0)
    assert fit.overhead_bytes == PROCESSOR_OVERHEAD.bytes_of(LLAMA_70B, 1)
    assert "not looked at" in fit.sentence
    refused = asked(LLAMA_70B, CPU, 2)
    assert not refused.fits
    assert "a processor has no GPUs; you asked for 2" in refused.sentence


def test_derived_sizes_say_so_with_what_they_rest_on() -> None:
    derived = replace(LLAMA_70B, status=FactStatus.DERIVED, note="from a blog")
    assert asked(derived).sentence.endswith("derived, not read from its files: from a blog.")
    assert asked(replace(derived, note="")).sentence.endswith("derived, not read from its files.")
    assert asked(derived).status is FactStatus.DERIVED


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 MB"), (1, "1 MB"), (999_999_999, "1000 MB"), (10**9, "1.0 GB"), (10**12 + 1, "1,000.1 GB")],
)
def test_sizes_are_never_shown_smaller_than_they_are(size: int, shown: str) -> None:
    assert gigabytes(size) == shown


TOKENS = st.integers(1, 200_000)
SLOTS = st.integers(1, 256)
MODELS = st.sampled_from([LLAMA_70B, GPT_OSS_120B, LATENT, an_architecture()])


@given(architecture=MODELS, context=TOKENS, more=TOKENS, slots=SLOTS)
def test_what_is_needed_grows_with_context_and_slots(
    architecture: Architecture, context: int, more: int, slots: int
) -> None:
    for gpus in GPU_COUNTS:
        few = need(FitQuestion("it", architecture, H100, context, slots), gpus).total_bytes
        assert few <= need(FitQuestion("it", architecture, H100, context + more, slots), gpus).total_bytes
        assert few < need(FitQuestion("it", architecture, H100, context, slots + 1), gpus).total_bytes


@given(architecture=MODELS, context=TOKENS, slots=SLOTS, gpu=st.sampled_from([H100, MI300X, SMALL]))
def test_what_fits_on_some_gpus_fits_on_twice_as_many(
    architecture: Architecture, context: int, slots: int, gpu: Accelerator
) -> None:
    question = FitQuestion("it", architecture, gpu, context, slots)
    held = [need(question, each).fits_in(usable_bytes(gpu)) for each in GPU_COUNTS]
    assert held == sorted(held)
    fit = judge(question)
    assert fit.fits == any(held)
    if fit.fits:
        assert fit.gpus == GPU_COUNTS[held.index(True)]
