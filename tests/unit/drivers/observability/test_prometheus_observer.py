"""What Prometheus reads, and that the number of series is bounded."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from headrace.domain.dedicated import Standing
from headrace.domain.usage import TokenClass, UnitClass, Usage
from headrace.drivers.observability.gauges import GaugeSources
from headrace.drivers.observability.prometheus_observer import PrometheusObserver
from headrace.ports.observer import AttemptEnd, RequestEnd

ATTEMPT = AttemptEnd(
    "r", "a", "chat", "tiny", "here", "complete", None, 0.04, 0.3, Usage(input_fresh=142, output_text=61), 2_840, 2_990
)


def make_observer(replicas: Mapping[str, int] | None = None) -> PrometheusObserver:
    return PrometheusObserver(
        GaugeSources(
            ledger_commits=lambda: 12,
            ledger_synchronous=lambda: "full",
            ledger_queue_depth=lambda: 3,
            replicas_by_state=lambda: replicas or {},
            loop_lag_seconds=lambda: 0.25,
            requests_in_flight=lambda: 2,
            targets_by_breaker=lambda: {"open": 1, "closed": 4},
            retries_denied=lambda: 9,
            limits_refused=lambda: {("key", "tokens_per_minute"): 4},
            credentials=lambda: [("acme", "default", "refused"), ("acme", "spare", "ok")],
            cache_outcomes=lambda: {"miss": 5, "hit": 2},
            router_sessions=lambda: 7,
            switch_verdicts=lambda: {"over_cap": 3, "free": 1},
            deployments=lambda: {"prod": Standing(wanted=3, ready=2, starting=1, in_flight=5, waiting=4)},
        ),
        max_models=3,
        max_routes=2,
    )


def samples(observer: PrometheusObserver) -> dict[str, float]:
    lines = observer.render()[1].decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_requests_are_counted_by_route_and_class() -> None:
    observer = make_observer()
    for status in (200, 201, 404, 503, 0):
        observer.request_ended(RequestEnd("r", "GET", "/v2/me", status, 0.02))
    found = samples(observer)
    for name, count in (("2xx", 2), ("4xx", 1), ("5xx", 1), ("none", 1)):
        assert found[f'headrace_requests_total{{route="/v2/me",status_class="{name}"}}'] == count
    assert found['headrace_request_duration_seconds_bucket{le="0.025",route="/v2/me"}'] == 5


def test_attempts_carry_tokens_money_and_times() -> None:
    observer = make_observer()
    observer.attempt_ended(ATTEMPT)
    observer.attempt_ended(ATTEMPT)
    observer.attempt_ended(
        replace(ATTEMPT, ending="voided", usage=None, first_event_seconds=None, cost_nano=0, charge_nano=0)
    )
    found = samples(observer)
    assert found['headrace_attempts_total{ending="complete",model="tiny",provider="here"}'] == 2
    assert found['headrace_attempts_total{ending="voided",model="tiny",provider="here"}'] == 1
    assert found['headrace_tokens_total{class="input_fresh",model="tiny"}'] == 284
    assert found['headrace_charge_nano_usd_total{model="tiny"}'] == 5_980
    assert found['headrace_cost_nano_usd_total{model="tiny"}'] == 5_680
    assert found['headrace_first_event_seconds_count{model="tiny"}'] == 2
    assert found['headrace_attempt_duration_seconds_count{model="tiny"}'] == 3


def test_rare_classes_of_tokens_are_counted_when_there_are_any_and_units_are_not() -> None:
    observer = make_observer()
    observer.attempt_ended(ATTEMPT)
    assert not any("input_audio" in name for name in samples(observer))
    more = ((TokenClass.INPUT_AUDIO, 7), (UnitClass.SEARCH, 2))
    observer.attempt_ended(replace(ATTEMPT, usage=Usage(input_fresh=1, more=more)))
    found = samples(observer)
    assert found['headrace_tokens_total{class="input_audio",model="tiny"}'] == 7
    assert not any('class="search"' in name for name in found)


def test_figures_are_read_when_somebody_looks() -> None:
    replicas = {"ready": 1}
    observer = make_observer(replicas)
    replicas["starting"] = 2
    found = samples(observer)
    assert found["headrace_ledger_commits_total"] == 12
    assert found['headrace_ledger_synchronous{setting="full"}'] == 1
    assert found["headrace_ledger_queue_depth"] == 3
    assert found['headrace_replicas{state="starting"}'] == 2
    assert found["headrace_loop_lag_seconds"] == pytest.approx(0.25)
    assert found["headrace_requests_in_flight"] == 2
    assert found['headrace_targets{state="open"}'] == 1
    assert found["headrace_retries_denied_total"] == 9
    assert found['headrace_limits_refused_total{limit="tokens_per_minute",scope="key"}'] == 4
    assert found['headrace_credentials{credential="default",provider="acme",state="refused"}'] == 1
    assert found['headrace_credentials{credential="spare",provider="acme",state="ok"}'] == 1
    assert found['headrace_response_cache_total{outcome="hit"}'] == 2
    assert found["headrace_router_sessions"] == 7
    assert found['headrace_router_switches_total{verdict="over_cap"}'] == 3
    for name, count in (("wanted", 3), ("ready", 2), ("starting", 1)):
        assert found[f'headrace_deployment_replicas{{deployment="prod",state="{name}"}}'] == count
    assert found['headrace_deployment_requests{deployment="prod",state="in_flight"}'] == 5
    assert found['headrace_deployment_requests{deployment="prod",state="waiting"}'] == 4
    assert found["process_resident_memory_bytes"] > 0


def test_labels_are_bounded() -> None:
    observer = make_observer()
    for number in range(8):
        observer.attempt_ended(replace(ATTEMPT, model_id=f"m{number}", ending="complete" if number else "strange"))
    for number in range(7):
        observer.request_ended(RequestEnd("r", "GET", f"/r{number}", 200, 0.01))
    found = samples(observer)
    assert found['headrace_attempts_total{ending="complete",model="other",provider="other"}'] == 5
    assert found['headrace_attempts_total{ending="other",model="m0",provider="here"}'] == 1
    assert found['headrace_requests_total{route="other",status_class="2xx"}'] == 5
    assert sum(name.startswith("headrace_charge_nano_usd_total") for name in found) == 4


def test_two_observers_do_not_share_a_registry() -> None:
    first, second = make_observer(), make_observer()
    first.attempt_ended(ATTEMPT)
    assert not any(name.startswith("headrace_attempts_total") for name in samples(second))
    assert first.render()[0].startswith("text/plain; version=0.0.4")
