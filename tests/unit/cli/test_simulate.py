"""`headrace simulate`: where traffic comes from, what is played, how the figures look, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headrace.cli.replies import number
from headrace.cli.simulation_text import simulation_text
from headrace.cli.simulation_traffic import LARGEST_BYTES
from headrace.domain.json_value import JsonObject
from headrace.domain.simulation_report import Latency, SimulationReport
from tests.unit.cli.command_line import CommandLine

TRACE = "at,input_tokens,output_tokens,prefix\n0,100,10,a\n30,100,10,a\n40,100,10,b\n"
PRICE = ("--usd-per-hour", "3.6")
PACE = ("--slots", "2", "--tokens-per-second", "20", "--cold-start", "10s", "--idle", "1m")
TWIN = ("--input-usd-per-mtok", "1", "--output-usd-per-mtok", "2")
SECOND = 1_000_000
REPORT = SimulationReport(
    requests=1_500,
    answered=1_300,
    overflowed=150,
    refused=50,
    waited_for_start=12,
    cold_starts=2,
    starts=5,
    warm=7,
    micros=3_600 * SECOND,
    replica_micros=5_400 * SECOND,
    replica_nano=3_886_000_000,
    overflow_nano=4_000_000,
    serverless_nano=7_770_000_000,
    utilisation=0.423,
    first_token=Latency(120_000, 1_090_000, 61_000_000),
    total=Latency(1_860_000, 8_880_000, None),
    mean_replicas=1.5,
    peak=4,
    chart=(0.0, 0.01, 2.0, 4.0),
)
TEXT = """\
1,500 requests in 60 min: 1,300 by the deployment, 150 by the overflow, 50 refused.

latency            p50     p95      p99
  first token   0.12 s  1.09 s  61.00 s
  whole answer  1.86 s  8.88 s        -
  12 requests waited for a start
  7 requests met a replica that knew their prefix

replicas
  1.50 on average, 4 at most; busy 42 % of their slots' time
  5 starts, 2 of them from nothing
   ▁▄█  0 to 4, over 60 min

cost
  replicas     $3.89  1.50 replica hours, from ready to gone
  overflow    $0.004  150 requests by the token
  together     $3.89
  serverless   $7.77  all requests by the token: 2.0 times as much"""


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "trace.csv"
    path.write_text(TRACE)
    return str(path)


def played(*words: str) -> JsonObject:
    """The figures of one simulation."""
    ran = CommandLine()("simulate", *words, "--json")
    assert ran.status == 0, ran.err
    assert isinstance(ran.json, dict)
    return ran.json


def test_the_figures_are_laid_out() -> None:
    assert simulation_text(REPORT) == TEXT


@pytest.mark.parametrize(
    ("serverless", "told"),
    [(1_000_000_000, "all requests by the token: 26% of it"), (0, "all requests by the token\n"), (None, "\n")],
)
def test_the_token_price_is_compared(serverless: int | None, told: str) -> None:
    assert told in f"{simulation_text(replace(REPORT, serverless_nano=serverless))}\n"


def test_nothing_shows_nothing() -> None:
    empty = replace(REPORT, overflowed=0, peak=0, chart=(), warm=0, waited_for_start=0, micros=90 * SECOND)
    text = simulation_text(empty)
    assert "in 90 s" in text
    assert "over" not in text.partition("replicas\n")[2].replace("overflow", "")
    assert "knew their prefix" not in text


def test_a_trace_is_played(trace: str) -> None:
    figures = played("--trace", trace, *PACE, *PRICE, *TWIN, "--scale", "0:1")
    assert (figures["requests"], figures["answered"], figures["cold_starts"]) == (3, 3, 1)
    assert figures["first_token_seconds"] == {"p50": 0.1, "p95": 10.1, "p99": 10.1}
    assert figures["replica_seconds"] == pytest.approx(31.0)
    assert figures["replica_cost_nano_usd"] == 31_000_000
    assert figures["serverless_cost_nano_usd"] == 360_000
    assert figures["warm"] == 1


def test_people_get_lines_and_the_progress_is_apart(trace: str) -> None:
    ran = CommandLine()("simulate", "--trace", trace, *PRICE)
    assert ran.out.startswith("3 requests in 60 s: 3 by the deployment")
    assert ran.err == ""
    assert "serverless" not in ran.out


def test_made_up_traffic_repeats() -> None:
    asked = ("--poisson", "6/min", "--for", "10m", "--prefixes", "3", *PRICE)
    assert played(*asked, "--seed", "4") == played(*asked, "--seed", "4")
    assert played(*asked, "--seed", "4") != played(*asked, "--seed", "5")
    assert number(played("--daily-curve", "20/h", *PRICE), "seconds") >= 86_400


def test_three_requests_come_to_what_a_hand_computes(tmp_path: Path) -> None:
    """Two slots write 50 tokens a second each; a start takes 10 s, and after 30 s without a request it sleeps.

    The first reads 1 s and writes 2 s from second 10 on, the second reads 0.5 s and writes 4 s: it ends at 14.5, and
    the look at 46 lets the replica sleep, 36 s after it was ready. The third starts one that is paid for 2 s.
    """
    trace = tmp_path / "tiny.csv"
    trace.write_text("at,input_tokens,output_tokens\n0,1000,100\n1,500,200\n100,1000,50\n")
    figures = played(
        "--trace", str(trace), "--usd-per-hour", "3.6", "--slots", "2", "--tokens-per-second", "100",
        "--input-tokens-per-second", "1000", "--cold-start", "10s", "--scale", "0:1", "--idle", "30s",
        "--input-usd-per-mtok", "1", "--output-usd-per-mtok", "10",
    )  # fmt: skip
    assert figures["first_token_seconds"] == {"p50": 11.02, "p95": 11.02, "p99": 11.02}
    assert figures["total_seconds"] == {"p50": 13.0, "p95": 13.5, "p99": 13.5}
    assert (figures["cold_starts"], figures["waited_for_start"], figures["seconds"]) == (2, 3, 112.0)
    assert (figures["replica_seconds"], figures["replica_cost_nano_usd"]) == (38.0, 38_000_000)
    # Slots were busy for 3, 4.5 and 2 of twice 38 seconds; 2,500 tokens were read and 350 written.
    assert (figures["utilisation"], figures["serverless_cost_nano_usd"]) == (0.125, 6_000_000)


def test_a_machine_that_is_named_as_spot_has_the_spot_price() -> None:
    def hourly(*hardware: str) -> float:
        figures = played("--poisson", "6/min", "--for", "10m", "--scale", "1", *hardware)
        return number(figures, "replica_cost_nano_usd") / float(str(figures["replica_seconds"])) * 3_600

    assert hourly("--accelerator", "gpu-mi350x1-288gb-spot") == pytest.approx(2.46e9, rel=0.001)
    assert hourly("--accelerator", "mi350x") == pytest.approx(6.89e9, rel=0.001)


def test_everything_about_the_policy_may_be_said() -> None:
    figures = played(
        "--poisson", "2/s", "--for", "5m", "--accelerator", "gpu-h100x8-640gb", "--scale", "1:3",
        "--target", "ttft:500ms",
        "--when-asleep", "overflow", "--overflow", "0", "--patience", "10s", "--warm-percent", "50", *TWIN,
    )  # fmt: skip
    assert figures["overflowed"] == 0 or figures["overflow_cost_nano_usd"]
    more = played("--poisson", "2/s", "--for", "5m", "--accelerator", "h100", "--gpus", "2", "--target", "queue:2")
    assert more["cost_nano_usd"] == more["replica_cost_nano_usd"]


def test_what_was_served_is_played(tmp_path: Path) -> None:
    row: JsonObject = {
        "requests": 4,
        "input_fresh": 300,
        "input_cache_read": 100,
        "output_text": 30,
        "output_reasoning": 10,
    }
    first: JsonObject = {
        "usage": [{"starts_at": "2026-11-28T13:00:00.000000Z", **row}, {"starts_at": "", "requests": 0}],
        "meta": {"pages": 2},
    }
    second: JsonObject = {"usage": [{"starts_at": "2026-11-28T11:00:00.000000Z", **row}], "meta": {"pages": 2}}
    query = "interval=hour&from=7d&limit=1000&model=m"
    line = CommandLine().answers(f"GET /v2/usage?page=1&{query}", first)
    line.answers(f"GET /v2/usage?page=2&{query}", second)
    ran = line("simulate", "--from-ledger", "7d", "--model", "m", *PRICE, *TWIN, "--json")
    assert isinstance(ran.json, dict)
    assert (ran.json["requests"], ran.json["seconds"]) == (8, 10_800.0)
    assert ran.json["serverless_cost_nano_usd"] == 8 * (100 * 1_000 + 10 * 2_000)


def test_nothing_served_is_said() -> None:
    line = CommandLine().answers("GET /v2/usage?page=1&interval=hour&from=7d&limit=1000", {"usage": [], "meta": {}})
    ran = line("simulate", "--from-ledger", "7d", *PRICE)
    assert (ran.status, "Nothing was served here in 7d" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((*PRICE,), "Say where the traffic comes from"),
        (("--poisson", "2/s", "--from-ledger", "7d", *PRICE), "in one way"),
        (("--poisson", "often", *PRICE), "--poisson often: write a rate like 2/s"),
        (("--daily-curve", "0/s", *PRICE), "--daily-curve 0/s: write a rate"),
        (("--poisson", "2/s", "--for", "long", *PRICE), "--for long: write a duration"),
        (("--poisson", "2/s", "--input-tokens", "0", *PRICE), "--input-tokens 0: write a number from 1"),
        (("--poisson", "2/s", "--prefixes", "-4", *PRICE), "--prefixes -4: write a number from 0"),
        (("--poisson", "2/s", "--for", "0s", *PRICE), "--for 0s: write how long it lasts"),
        (("--poisson", "2/s", "--accelerator", "h100", "--gpus", "-3"), "--gpus -3: write a number from 1 to 64"),
        (("--poisson", "2/s", *PRICE, "--when-asleep", "overflow"), "--when-asleep overflow needs an --overflow"),
        (("--poisson", "1000000/s", *PRICE), "a simulation holds 20,000,000"),
        (("--poisson", "2/s"), "A replica needs a price"),
        (("--poisson", "2/s", "--usd-per-hour", "cheap"), "--usd-per-hour cheap: write dollars"),
        (("--poisson", "2/s", "--accelerator", "h1000"), 'No accelerator is named "h1000". Did you mean "h100"?'),
        (("--poisson", "2/s", "--accelerator", "abacus"), 'No accelerator is named "abacus". Say --usd-per-hour'),
        (("--poisson", "2/s", *PRICE, "--scale", "4:0"), "the bounds are reversed"),
        (("--poisson", "2/s", *PRICE, "--scale", "0:0"), "--scale 0: write a number from 1"),
        (("--poisson", "2/s", *PRICE, "--slots", "0"), "--slots 0: write a number from 1 to 4096"),
        (("--poisson", "2/s", *PRICE, "--warm-percent", "101"), "--warm-percent 101"),
        (("--poisson", "2/s", *PRICE, "--overflow", "-1"), "--overflow -1"),
        (("--poisson", "2/s", *PRICE, "--tokens-per-second", "0"), "--tokens-per-second 0"),
        (("--poisson", "2/s", *PRICE, "--input-usd-per-mtok", "x"), "--input-usd-per-mtok"),
        (("--trace", "/nonexistent/trace", *PRICE), "cannot be read (No such file or directory)"),
    ],
)
def test_what_cannot_be_played_is_refused(words: tuple[str, ...], told: str) -> None:
    ran = CommandLine()("simulate", *words)
    assert ran.status == 2
    assert told in " ".join(ran.err.split())


def test_a_trace_that_is_too_large_is_refused(trace: str) -> None:
    with Path(trace).open("r+b") as file:
        file.truncate(LARGEST_BYTES + 1)
    ran = CommandLine()("simulate", "--trace", trace, *PRICE)
    assert (ran.status, "is larger than" in ran.err) == (2, True)
