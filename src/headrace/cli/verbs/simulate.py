"""`headrace simulate`: what a deployment would cost and how it would answer, played on a trace of traffic."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Literal

from cyclopts import Parameter

from headrace.cli.deployment_words import bounds, seconds, target
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.progress import PullProgress
from headrace.cli.replies import number
from headrace.cli.simulation_text import simulation_text
from headrace.cli.simulation_traffic import NO_TRAFFIC, TrafficFlags, traffic_of
from headrace.cli.verb_shapes import Running
from headrace.domain.decimals import parse_scaled
from headrace.domain.dedicated import ScaleTarget, ScalingMetric, WhenAsleep
from headrace.domain.errors import ConfigInvalid
from headrace.domain.money import parse_usd_per_mtok
from headrace.domain.names import did_you_mean
from headrace.domain.scaling import ScalingRules
from headrace.domain.simulation import MICROS, ReplicaPace, ServerlessTwin, SimulatedPolicy
from headrace.domain.simulation_report import report_of
from headrace.domain.simulation_run import simulate as play
from headrace.ports.fleet import Progress
from headrace.wire.accelerator_file import AcceleratorText, accelerator_book
from headrace.wire.simulation_json import simulation_object

ACCELERATORS = "accelerators.toml"
# Every price of the file is of a day before this one: the latest counts.
LAST_DAY = "9999-12-31"
MOST_REPLICAS, MOST_SLOTS, MOST_GPUS = 10_000, 4_096, 64


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaFlags:
    """One replica: its hardware, its price, its pace."""

    accelerator: Annotated[
        str | None, Parameter(help="On what each replica runs, for its price: h100, gpu-h100x8-640gb, …")
    ] = None
    gpus: Annotated[int | None, Parameter(help="Accelerators of a replica; else what the name says, else 1.")] = None
    usd_per_hour: Annotated[
        str | None, Parameter(help="What an hour of one replica costs, in place of the catalog's price.")
    ] = None
    slots: Annotated[int, Parameter(help="Requests that one replica answers at once.")] = 8
    tokens_per_second: Annotated[
        int, Parameter(help="Output tokens a second of one replica with all slots busy; measure it.")
    ] = 1000
    input_tokens_per_second: Annotated[
        int, Parameter(help="Input tokens a second that one request is read at; 0: at once.")
    ] = 0
    cold_start: Annotated[str, Parameter(help="How long a start takes until it answers.")] = "60s"
    warm_percent: Annotated[int, Parameter(help="How much of a prompt is not read again where its prefix is warm.")] = 0


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFlags:
    """The policy, as `headrace deploy` takes it, and the model that is paid by the token."""

    scale: Annotated[str, Parameter(help="The fewest and the most replicas, like 0:4; 2 is always two.")] = "0:4"
    target: Annotated[str | None, Parameter(help="What scaling holds: queue:2 or ttft:500ms.")] = None
    idle: Annotated[str, Parameter(help="Without a request for so long it sleeps; 0: never.")] = "10m"
    when_asleep: Annotated[
        Literal["wait", "overflow", "refuse"], Parameter(help="What a request gets while no replica is there.")
    ] = "wait"
    patience: Annotated[str, Parameter(help="How long a request waits for a replica.")] = "2m"
    overflow: Annotated[
        int | None, Parameter(help="The twin answers from so many waiting requests for each replica on.")
    ] = None
    input_usd_per_mtok: Annotated[str, Parameter(help="The twin: dollars per million input tokens.")] = "0"
    output_usd_per_mtok: Annotated[str, Parameter(help="The twin: dollars per million output tokens.")] = "0"
    twin_first_token_ms: Annotated[int, Parameter(help="The twin: milliseconds to its first token.")] = 500
    twin_tokens_per_second: Annotated[int, Parameter(help="The twin: output tokens a second of one request.")] = 60


AS_USUAL, NO_POLICY = ReplicaFlags(), PolicyFlags()


def simulate(
    *,
    traffic: TrafficFlags = NO_TRAFFIC,
    replica: ReplicaFlags = AS_USUAL,
    policy: PolicyFlags = NO_POLICY,
    flags: ClientFlags = NO_FLAGS,
    session: Running,
) -> int:
    """Simulate traffic against a deployment, real or planned: cost, latency and cold starts.

    Scaling and replica choice follow the platform's own rules. Only --from-ledger needs a server.
    """
    played = _policy(replica, policy)
    trace = traffic_of(traffic, flags, session)
    with PullProgress(session.stderr, "simulating") as progress:
        total = len(trace.arrivals)

        def arrived(done: int) -> None:
            progress(Progress("requests", done, total, "requests"))

        outcome = play(trace.arrivals, played, trace.micros, arrived)
    report = report_of(trace.arrivals, played, outcome)
    as_json = wants_json(flags.json, session.environment)
    return session.tell(simulation_object(report), "" if as_json else simulation_text(report), as_json=as_json)


def _policy(replica: ReplicaFlags, policy: PolicyFlags) -> SimulatedPolicy:
    asked = bounds(policy.scale)
    least, most = number(asked, "min_scale"), number(asked, "max_scale")
    _within("--scale", most, 1, MOST_REPLICAS)
    _within("--slots", replica.slots, 1, MOST_SLOTS)
    for flag, value in (
        ("--tokens-per-second", replica.tokens_per_second),
        ("--twin-tokens-per-second", policy.twin_tokens_per_second),
    ):
        _within(flag, value, 1, 10**9)
    _within("--warm-percent", replica.warm_percent, 0, 100)
    if policy.when_asleep == WhenAsleep.OVERFLOW and policy.overflow is None:
        raise ConfigInvalid("--when-asleep overflow needs an --overflow, like 4.", code="usage")
    for flag, value in (
        ("--input-tokens-per-second", replica.input_tokens_per_second),
        ("--overflow", policy.overflow or 0),
        ("--twin-first-token-ms", policy.twin_first_token_ms),
    ):
        _within(flag, value, 0, 10**9)
    pace = ReplicaPace(
        slots=replica.slots,
        tokens_per_second=replica.tokens_per_second,
        input_tokens_per_second=replica.input_tokens_per_second,
        cold_start_micros=seconds("--cold-start", replica.cold_start) * MICROS,
        warm_percent=replica.warm_percent,
    )
    idle = seconds("--idle", policy.idle)
    return SimulatedPolicy(
        rules=ScalingRules(least, most, replica.slots, idle, _target(policy.target)),
        pace=pace,
        nano_per_hour=_nano_per_hour(replica),
        twin=_twin(policy),
        overflow_limit=policy.overflow,
        when_asleep=WhenAsleep(policy.when_asleep),
        wait_micros=seconds("--patience", policy.patience) * MICROS,
    )


def _within(flag: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigInvalid(f"{flag} {value}: write a number from {least} to {most}.", code="usage")


def _target(text: str | None) -> ScaleTarget | None:
    if text is None:
        return None
    read = target(text)
    return ScaleTarget(ScalingMetric(str(read["metric"])), max(1, number(read, "value")))


def _twin(policy: PolicyFlags) -> ServerlessTwin:
    return ServerlessTwin(
        input_pico=_rate("--input-usd-per-mtok", policy.input_usd_per_mtok),
        output_pico=_rate("--output-usd-per-mtok", policy.output_usd_per_mtok),
        first_token_micros=policy.twin_first_token_ms * 1_000,
        tokens_per_second=policy.twin_tokens_per_second,
    )


def _rate(flag: str, text: str) -> int:
    try:
        return parse_usd_per_mtok(text)
    except ValueError as error:
        raise ConfigInvalid(f"{flag}: {error}.", code="usage") from error


def _nano_per_hour(replica: ReplicaFlags) -> int:
    if replica.usd_per_hour is not None:
        try:
            return parse_scaled(replica.usd_per_hour, 9)
        except ValueError as error:
            raise ConfigInvalid(
                f"--usd-per-hour {replica.usd_per_hour[:40]}: write dollars as a plain decimal, like 2.59.",
                code="usage",
            ) from error
    if replica.accelerator is None:
        raise ConfigInvalid(
            "A replica needs a price: name its --accelerator, like h100, or say --usd-per-hour.", code="usage"
        )
    if replica.gpus is not None:
        _within("--gpus", replica.gpus, 1, MOST_GPUS)
    return _catalog_price(replica.accelerator, replica.gpus)


def _catalog_price(name: str, gpus: int | None) -> int:
    """Return the latest price of the shipped catalog, on demand where there is one unless the name says spot."""
    data = resources.files("headrace.catalog").joinpath(ACCELERATORS).read_bytes()
    book = accelerator_book([AcceleratorText(ACCELERATORS, data)])
    found = book.find_machine(name)
    if found is None:
        hint = did_you_mean(name, book.names())
        raise ConfigInvalid(f'No accelerator is named "{name}". {hint or "Say --usd-per-hour instead."}', code="usage")
    accelerator, named = found
    price = accelerator.hourly_price(name, gpus or named, LAST_DAY)
    if price is not None:
        return price[0]
    raise ConfigInvalid(f"{accelerator.name} has no price in the catalog. Say --usd-per-hour.", code="usage")
