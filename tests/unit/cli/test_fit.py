"""`headrace fit`: what is sent, one answer with its sentence, all accelerators as a table, and the exit status."""

from __future__ import annotations

from headrace.domain.json_value import JsonObject
from tests.unit.cli.command_line import ADMIN, CommandLine

ASK = "POST /v2/fit"
FITS: JsonObject = {
    "fits": True,
    "computed": True,
    "answer": "one fits on 2 H100.",
    "accelerator": {"slug": "h100", "name": "H100", "memory_bytes": 80},
    "gpus": 2,
    "needed_bytes": 148_000_000_000,
    "usable_bytes_per_gpu": 77_000_000_000,
    "source": "https://example.com/config.json",
}
L40S: JsonObject = {"slug": "l40s"}
PROCESSOR: JsonObject = {"slug": "cpu"}
NOT: JsonObject = {**FITS, "fits": False, "accelerator": L40S, "gpus": 8}
CPU: JsonObject = {**FITS, "accelerator": PROCESSOR, "gpus": 0, "usable_bytes_per_gpu": 0}
UNKNOWN: JsonObject = {
    **FITS,
    "computed": False,
    "answer": "unknown: no sizes of one",
    "needed_bytes": None,
    "source": None,
}


def line(*answers: JsonObject) -> CommandLine:
    return CommandLine().answers(ASK, {"model": "one", "fits": list(answers)})


def test_one_answer_is_its_sentence_and_where_the_sizes_are_from() -> None:
    asked = line(FITS)
    ran = asked("fit", "one", "--accelerator", "h100", "--gpus", "2", "--context", "4096", "--slots", "3")
    assert (ran.status, ran.out) == (0, "one fits on 2 H100.\n  sizes: https://example.com/config.json\n")
    assert asked.api.last_body == {
        "model": "one",
        "accelerator": "h100",
        "gpus": 2,
        "context_length": 4096,
        "slots": 3,
    }
    assert asked.api.credentials == [ADMIN]


def test_without_an_accelerator_all_are_shown() -> None:
    asked = line(FITS, NOT, CPU)
    ran = asked("fit", "one")
    assert asked.api.last_body == {"model": "one"}
    assert ran.status == 0
    assert ran.out.splitlines() == [
        "ACCELERATOR  GPUS    NEEDED  USABLE EACH",
        "h100            2  148.0 GB      77.0 GB  fits",
        "l40s            8  148.0 GB      77.0 GB  does not fit",
        "cpu                148.0 GB               fits",
    ]


def test_what_does_not_fit_or_is_not_known_fails() -> None:
    assert line(NOT)("fit", "one", "--accelerator", "l40s").status == 1
    ran = line(UNKNOWN)("fit", "one", "--accelerator", "h100")
    assert (ran.status, ran.out) == (1, "unknown: no sizes of one\n")
    ran = line(UNKNOWN, UNKNOWN)("fit", "one")
    assert (ran.status, ran.out) == (1, "unknown: no sizes of one\n")
    assert line()("fit", "one").status == 1


def test_machines_get_the_reply() -> None:
    assert line(FITS)("fit", "one", "--json").json == {"model": "one", "fits": [FITS]}
