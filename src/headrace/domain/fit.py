"""Whether a model fits on accelerators: weights, cache and overhead against their memory; pure, in whole bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace.domain.accelerator import BYTES_PER_GB, Accelerator
from headrace.domain.architecture import Architecture, FactStatus

# An engine must leave some memory to the driver and to others: engines take 0.9 of it by default.
USABLE_PERCENT = 90
GPU_COUNTS = (1, 2, 4, 8)
DEFAULT_CONTEXT, DEFAULT_SLOTS = 8_192, 8

TIMES = "\N{MULTIPLICATION SIGN}"

_DECIMALS = 10
_COPIES_OF_A_TOKEN = 8
_BYTES_OF_AN_ACTIVATION = 2
_BYTES_OF_A_LOGIT = 8


@dataclass(frozen=True, slots=True)
class Overhead:
    """What an engine takes on each accelerator beside weights and cache.

    `runtime_bytes` is its fixed part: context, kernels, captured graphs, buffers for talking to its neighbours. It
    reads `tokens` at a time, for each of which it holds some vectors of the model's width.
    """

    runtime_bytes: int
    tokens: int

    def bytes_of(self, architecture: Architecture, slots: int) -> int:
        """Return it for one accelerator: the fixed part, what is being read, and a row of logits for each request."""
        reading = self.tokens * architecture.hidden_size * _COPIES_OF_A_TOKEN * _BYTES_OF_AN_ACTIVATION
        return self.runtime_bytes + reading + slots * architecture.vocabulary * _BYTES_OF_A_LOGIT


# 8,192 tokens a step is what the common GPU server reads at most by default; the CPU engine reads 512.
GPU_OVERHEAD = Overhead(1_000_000_000, 8_192)
PROCESSOR_OVERHEAD = Overhead(100_000_000, 512)


@dataclass(frozen=True, slots=True)
class FitAsked:
    """What is asked: an accelerator by its slug or a cloud's name for it, and how the model shall run.

    `gpus` are those of one replica; without them the cloud's name says it, or the fewest that are enough are meant.
    Without `context_length` it is at most DEFAULT_CONTEXT. `slots` requests are answered at once; without them as many
    as the catalogue says of a model that runs here, else DEFAULT_SLOTS.
    """

    accelerator: str
    gpus: int | None = None
    context_length: int | None = None
    slots: int | None = None


@dataclass(frozen=True, slots=True)
class FitNeed:
    """What a model needs on so many accelerators together; all but `gpus` in bytes."""

    gpus: int
    weight_bytes: int
    cache_bytes: int
    overhead_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weight_bytes + self.cache_bytes + self.overhead_bytes

    def fits_in(self, usable_bytes: int) -> bool:
        """Whether an equal share of it is no more than what one accelerator has."""
        return self.total_bytes <= usable_bytes * self.gpus


@dataclass(frozen=True, slots=True)
class Fit:
    """The answer. `gpus` is the fewest that are enough, 0 on a processor; where none are, the most that were tried.

    The bytes are those of `gpus` accelerators together, `usable_bytes_per_gpu` is 0 for a processor. `sentence` tells
    all of it to a human. `is_computed` is False where nothing is known of the model's sizes: then `fits` holds nobody
    back, and the sentence says so. `source` and `status` are the sizes' own.
    """

    fits: bool
    gpus: int
    accelerator: Accelerator
    weight_bytes: int
    cache_bytes: int
    overhead_bytes: int
    usable_bytes_per_gpu: int
    context_length: int
    slots: int
    sentence: str
    is_computed: bool = True
    asked_gpus: int | None = None
    source: str = ""
    status: FactStatus = FactStatus.VERIFIED


@dataclass(frozen=True, slots=True)
class FitQuestion:
    """A model's sizes and how it shall run, complete: nothing of it is looked up any more.

    `name` is what people call the model, `asked_gpus` what was asked for, None for the fewest that are enough.
    """

    name: str
    architecture: Architecture
    accelerator: Accelerator
    context_length: int
    slots: int
    asked_gpus: int | None = None


@dataclass(frozen=True, slots=True)
class FitConfig:
    """One entry of the table of models and machines: every machine that holds the model alone."""

    model: str
    slug: str
    name: str
    machines: tuple[str, ...]
    is_gated: bool


def need(question: FitQuestion, gpus: int) -> FitNeed:
    """Return what a model needs on so many accelerators, at least one."""
    architecture = question.architecture
    return FitNeed(
        gpus,
        architecture.weight_bytes,
        architecture.cache_bytes_on(gpus, question.context_length, question.slots),
        GPU_OVERHEAD.bytes_of(architecture, question.slots) * gpus,
    )


def usable_bytes(accelerator: Accelerator) -> int:
    """Return the memory of one accelerator that an engine may fill."""
    return accelerator.memory_bytes * USABLE_PERCENT // 100


def judge(question: FitQuestion) -> Fit:
    """Return whether the model fits as asked, on how many accelerators it does, and both in one sentence."""
    if question.accelerator.is_processor:
        return _on_processor(question)
    usable = usable_bytes(question.accelerator)
    tried = [need(question, each) for each in GPU_COUNTS if question.architecture.splits_over(each)]
    enough = next((each for each in tried if each.fits_in(usable)), None)
    shown = enough or tried[-1]
    asked = question.asked_gpus
    may = asked is None or asked in {each.gpus for each in tried}
    fits = enough is not None and may and (asked is None or asked >= enough.gpus)
    given = need(question, asked) if fits and asked is not None else shown
    sentence = _sentence(question, given, usable, enough is not None, may)
    return _fit(question, given if fits else shown, shown.gpus, usable, fits, sentence)


def _fit(question: FitQuestion, needed: FitNeed, gpus: int, usable: int, fits: bool, sentence: str) -> Fit:
    return Fit(
        fits=fits,
        gpus=gpus,
        accelerator=question.accelerator,
        weight_bytes=needed.weight_bytes,
        cache_bytes=needed.cache_bytes,
        overhead_bytes=needed.overhead_bytes,
        usable_bytes_per_gpu=usable,
        context_length=question.context_length,
        slots=question.slots,
        sentence=sentence,
        asked_gpus=question.asked_gpus,
        source=question.architecture.source,
        status=question.architecture.status,
    )


def _on_processor(question: FitQuestion) -> Fit:
    architecture, slots = question.architecture, question.slots
    cache = architecture.cache_bytes(question.context_length, slots)
    needed = FitNeed(0, architecture.weight_bytes, cache, PROCESSOR_OVERHEAD.bytes_of(architecture, slots))
    fits = not question.asked_gpus
    sentence = (
        f"{question.name} takes {_sum(question, needed)} of this machine's memory, which is not looked at here: "
        "a replica starts when so much is free."
        if fits
        else f"a processor has no GPUs; you asked for {question.asked_gpus}. Leave them out, or name a GPU."
    )
    return _fit(question, needed, 0, 0, fits, sentence + _caveat(question))


def _sentence(question: FitQuestion, needed: FitNeed, usable: int, is_enough: bool, may: bool) -> str:
    gpu, asked = question.accelerator, question.asked_gpus
    have = f"one {gpu.name} has {gigabytes(usable)} usable ({USABLE_PERCENT} % of {gigabytes(gpu.memory_bytes)})"
    figures = f"{_sum(question, needed)}; {have}"
    if not is_enough:
        advice = _advice(question, needed, usable)
        text = f"{question.name} does not fit on {needed.gpus} {TIMES} {gpu.name} ({figures}). {advice}"
    elif asked is not None and not may:
        text = (
            f"{question.name} cannot be divided among {asked} {TIMES} {gpu.name}: {_hindrance(question, asked)}. It "
            f"needs {needed.gpus} ({figures})."
        )
    elif asked is not None and asked < needed.gpus:
        text = f"{question.name} needs {needed.gpus} {TIMES} {gpu.name} ({figures}); you asked for {asked}."
    else:
        text = f"{question.name} fits on {needed.gpus} {TIMES} {gpu.name} ({figures})."
    return text + _caveat(question)


def _hindrance(question: FitQuestion, asked: int) -> str:
    """Why so many accelerators are none of those that can be tried, and which are."""
    allowed = ", ".join(str(each) for each in GPU_COUNTS if question.architecture.splits_over(each))
    if asked > GPU_COUNTS[-1]:
        return f"one replica runs on {GPU_COUNTS[-1]} at most ({allowed} are possible)"
    return f"it has {question.architecture.attention_heads} attention heads ({allowed} are possible)"


def _advice(question: FitQuestion, needed: FitNeed, usable: int) -> str:
    """What would help: a caller can change the context and the slots, where the cache is what is too large."""
    least = replace(needed, cache_bytes=question.architecture.cache_bytes_on(needed.gpus, 1, 1))
    if not least.fits_in(usable):
        return "Even without a cache it is too large: take an accelerator with more memory."
    below = f"a context below {question.context_length:,}"
    if question.slots == 1:
        return f"Take an accelerator with more memory or {below}."
    return f"Take an accelerator with more memory, {below} or fewer slots."


def _sum(question: FitQuestion, needed: FitNeed) -> str:
    return (
        f"weights {gigabytes(needed.weight_bytes)} + cache {gigabytes(needed.cache_bytes)} "
        f"for {question.slots} {TIMES} {question.context_length:,} tokens "
        f"+ overhead {gigabytes(needed.overhead_bytes)} = {gigabytes(needed.total_bytes)}"
    )


def _caveat(question: FitQuestion) -> str:
    architecture = question.architecture
    if architecture.status is FactStatus.VERIFIED:
        return ""
    return f" These sizes are derived, not read from its files{f': {architecture.note}' if architecture.note else ''}."


def gigabytes(size_bytes: int) -> str:
    """Return a size in decimal gigabytes with one place, in megabytes below one; never less than it is."""
    if size_bytes < BYTES_PER_GB:
        return f"{-(-size_bytes // 1_000_000)} MB"
    tenths = -(-size_bytes * _DECIMALS // BYTES_PER_GB)
    return f"{tenths // _DECIMALS:,}.{tenths % _DECIMALS} GB"
