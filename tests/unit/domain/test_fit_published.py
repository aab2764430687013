"""What ships is held against figures that others have published, each with its source, and against sums by hand."""

from __future__ import annotations

from importlib import resources

import pytest

from headrace.domain.accelerator import Accelerator
from headrace.domain.architecture import Architecture
from headrace.domain.fit import Fit, FitQuestion, judge
from headrace.wire.accelerator_file import AcceleratorText, accelerator_book
from headrace.wire.architecture_file import ArchitectureText, architecture_book

CATALOG = resources.files("headrace.catalog")
SIZES = architecture_book([ArchitectureText("shipped", CATALOG.joinpath("architectures.toml").read_bytes())])
HARDWARE = accelerator_book([AcceleratorText("shipped", CATALOG.joinpath("accelerators.toml").read_bytes())])
GIB = 1024**3


def sizes(name: str) -> Architecture:
    found = SIZES.find(name)
    assert found is not None
    return found


def gpu(name: str) -> Accelerator:
    found = HARDWARE.find(name)
    assert found is not None
    return found


def fits(name: str, accelerator: str, gpus: int | None = None, context: int = 8_192, slots: int = 8) -> Fit:
    return judge(FitQuestion(name, sizes(name), gpu(accelerator), context, slots, gpus))


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        # Source: gpt-oss model card, table 1, "Checkpoint Size", https://arxiv.org/abs/2508.10925 (read 2026-11-28).
        ("openai/gpt-oss-120b", 60.8),
        ("openai/gpt-oss-20b", 12.8),
    ],
)
def test_weights_in_four_bits_are_those_of_the_model_card(name: str, gib: float) -> None:
    assert round(sizes(name).weight_bytes / GIB, 1) == gib


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        # Source: https://huggingface.co/blog/llama31, memory of inference in FP16 (read 2026-11-28).
        ("meta-llama/Llama-3.1-8B-Instruct", 16),
        ("meta-llama/Llama-3.1-70B-Instruct", 140),
        # Source: "220 GB for weights", https://github.com/MiniMax-AI/MiniMax-M2.5, docs/transformers_deploy_guide.md
        # (read 2026-11-28); in eight bits.
        ("MiniMaxAI/MiniMax-M2.5", 220),
    ],
)
def test_weights_are_within_a_twentieth_of_what_their_makers_round_to(name: str, gigabytes: int) -> None:
    assert sizes(name).weight_bytes == pytest.approx(gigabytes * 10**9, rel=0.05)


@pytest.mark.parametrize(
    ("name", "thousands_of_tokens", "gib"),
    [
        # Source: https://huggingface.co/blog/llama31, size of the cache in FP16 (read 2026-11-28).
        ("meta-llama/Llama-3.1-8B-Instruct", 16, 1.95),
        ("meta-llama/Llama-3.1-8B-Instruct", 128, 15.62),
        ("meta-llama/Llama-3.1-70B-Instruct", 16, 4.88),
        ("meta-llama/Llama-3.1-70B-Instruct", 128, 39.06),
    ],
)
def test_caches_of_grouped_heads_are_those_of_the_announcement(name: str, thousands_of_tokens: int, gib: float) -> None:
    assert sizes(name).cache_bytes(thousands_of_tokens * 1_000, 1) / GIB == pytest.approx(gib, abs=0.006)


def test_the_compressed_cache_of_a_token_is_that_of_the_paper() -> None:
    """Source: "Insights into DeepSeek-V3", table 1: 70.272 KB, https://arxiv.org/abs/2505.09343 (read 2026-11-28)."""
    assert sizes("deepseek-ai/DeepSeek-R1").cache_bytes(1, 1) == 70_272


@pytest.mark.parametrize(
    ("name", "tokens", "size"),
    [
        # 36 layers of 8 heads, keys and values of 64 numbers of 2 bytes; every other one looks back 128 tokens.
        ("openai/gpt-oss-120b", 8_192, 18 * 8 * 2 * 64 * 2 * 8_192 + 18 * 8 * 2 * 64 * 2 * 128),
        # 48 layers of 4 heads of 128; of its experts only weights are kept.
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", 1_000, 48 * 4 * 2 * 128 * 2 * 1_000),
        ("Qwen/Qwen3-32B", 1_000, 64 * 8 * 2 * 128 * 2 * 1_000),
        ("MiniMaxAI/MiniMax-M2.5", 1_000, 62 * 8 * 2 * 128 * 2 * 1_000),
        # 50 of 60 layers look back 1,024 tokens, with 16 heads of 256; the others have 4 of 512.
        ("google/gemma-4-31B-it", 8_192, 50 * 16 * 2 * 256 * 2 * 1_024 + 10 * 4 * 2 * 512 * 2 * 8_192),
        # 78 layers keep 512 and 64 numbers, and 22 of them 128 for an indexer.
        ("zai-org/GLM-5.2", 1_000, (78 * 576 + 22 * 128) * 2 * 1_000),
        # 6 of 52 layers attend; 23 are recurrent: 64 heads of 64 by 128 in 4 bytes, and a convolution's last 3 rows of
        # 64 x 64 and twice 8 groups of 128 in 2 bytes.
        (
            "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
            1_000,
            6 * 2 * 2 * 128 * 2 * 1_000 + 23 * (64 * 64 * 128 * 4 + 3 * (64 * 64 + 2 * 8 * 128) * 2),
        ),
        # 8 of 88 layers attend, 40 are recurrent with 128 heads.
        (
            "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8",
            1_000,
            8 * 2 * 2 * 128 * 2 * 1_000 + 40 * (128 * 64 * 128 * 4 + 3 * (128 * 64 + 2 * 8 * 128) * 2),
        ),
        # 12 of 108 layers attend, 48 are recurrent with 256 heads.
        (
            "nvidia/NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16",
            1_000,
            12 * 2 * 2 * 128 * 2 * 1_000 + 48 * (256 * 64 * 128 * 4 + 3 * (256 * 64 + 2 * 8 * 128) * 2),
        ),
        # 15 of 60 layers attend with 2 heads of 256; 45 keep 64 heads of 128 by 128 in 4 bytes, and 3 rows of twice 16
        # and once 64 heads of 128 in 2 bytes.
        (
            "Qwen/Qwen3.5-397B-A17B",
            1_000,
            15 * 2 * 2 * 256 * 2 * 1_000 + 45 * (64 * 128 * 128 * 4 + 3 * (2 * 16 + 64) * 128 * 2),
        ),
    ],
)
def test_caches_are_what_a_hand_computes_from_the_configuration(name: str, tokens: int, size: int) -> None:
    assert sizes(name).cache_bytes(tokens, 1) == size


def test_what_is_published_to_run_on_some_hardware_fits_there() -> None:
    # Source: "fit into a single 80GB GPU", https://huggingface.co/openai/gpt-oss-120b (read 2026-11-28).
    assert fits("openai/gpt-oss-120b", "h100").gpus == 1
    # Source: 70B in FP16 needs two H100, https://huggingface.co/blog/llama31 (read 2026-11-28).
    refused = fits("meta-llama/Llama-3.1-70B-Instruct", "h100", 1, slots=1)
    assert (refused.fits, refused.gpus) == (False, 2)
    assert refused.sentence.startswith("meta-llama/Llama-3.1-70B-Instruct needs 2 × H100 (")  # noqa: RUF001 - as shown
    assert refused.sentence.endswith("; you asked for 1.")
    # Source: one node of 8 H200, two nodes of 8 H100, https://github.com/sgl-project/sglang, docs on DeepSeek V3 (read
    # 2026-11-28).
    assert fits("deepseek-ai/DeepSeek-V3", "h200").gpus == 8
    too_large = fits("deepseek-ai/DeepSeek-V3", "h100")
    assert (too_large.fits, too_large.gpus) == (False, 8)
    assert "does not fit on 8 " in too_large.sentence
