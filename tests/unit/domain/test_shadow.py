"""Which requests are sampled, and what verdicts come to."""

from __future__ import annotations

from headrace.domain.shadow import Verdict, is_sampled, quality_of


def test_a_share_of_requests_is_sampled_always_the_same() -> None:
    names = [f"req_{number:06d}" for number in range(4_000)]
    sampled = [name for name in names if is_sampled(name, 0.25)]
    assert 850 < len(sampled) < 1_150
    assert [name for name in names if is_sampled(name, 0.25)] == sampled
    assert set(sampled) <= {name for name in names if is_sampled(name, 0.5)}, "a larger share keeps the smaller one"
    assert all(is_sampled(name, 1.0) for name in names)
    assert not any(is_sampled(name, 0.0) for name in names)


def test_verdicts_come_to_a_mean_with_its_interval() -> None:
    quality = quality_of({Verdict.BETTER: 1, Verdict.EQUAL: 6, Verdict.WORSE: 3})
    assert (quality.better, quality.equal, quality.worse, quality.judged) == (1, 6, 3, 10)
    assert quality.mean is not None
    assert round(quality.mean.value, 3) == -0.2
    assert -1 < quality.mean.low < -0.2 < quality.mean.high < 0.25


def test_a_single_verdict_proves_nothing() -> None:
    mean = quality_of({Verdict.BETTER: 1}).mean
    assert mean is not None
    assert (mean.value, mean.high) == (1.0, 1.0)
    assert mean.low < 0


def test_without_a_verdict_nothing_is_known() -> None:
    quality = quality_of({})
    assert (quality.judged, quality.mean) == (0, None)
