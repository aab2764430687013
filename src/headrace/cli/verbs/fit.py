"""`headrace fit`: whether a model fits on an accelerator, and on how many, before anything is deployed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient, given
from headrace.cli.replies import number, part, parts, text
from headrace.cli.session import columns
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.fit import gigabytes
from headrace.domain.json_value import JsonObject

PATH = "/v2/fit"
HEADER = ("ACCELERATOR", "GPUS", "NEEDED", "USABLE EACH", "")
RIGHT = frozenset({1, 2, 3})


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class FitFlags:
    """On what, and how the model shall run."""

    accelerator: Annotated[
        str | None, Parameter(help="Like h100, or a cloud's name for a machine, like gpu-h100x8-640gb (each of them).")
    ] = None
    gpus: Annotated[int | None, Parameter(help="How many one replica gets (the fewest that are enough).")] = None
    context: Annotated[
        int | None, Parameter(help="Tokens of each request (8192, or what the model reads at most).")
    ] = None
    slots: Annotated[
        int | None, Parameter(help="Requests that are answered at once (8, or what the catalog says).")
    ] = None


PLAIN = FitFlags()


@asks_server
def fit(client: ApiClient, model: str, /, *, asked: FitFlags = PLAIN) -> Told:
    """Check whether a model fits on an accelerator: weights, cache and overhead against its memory.

    Parameters
    ----------
    model:
        The model, as `headrace models --all` shows it.
    """
    body: JsonObject = given(
        model=model,
        accelerator=asked.accelerator,
        gpus=asked.gpus,
        context_length=asked.context,
        slots=asked.slots,
    )
    reply = client.send("POST", PATH, "admin", body)
    answers = parts(reply, "fits")
    fits = any(each.get("fits") is True and each.get("computed") is True for each in answers)
    return Told(reply, _as_text(answers), status=0 if fits else 1)


def _as_text(answers: list[JsonObject]) -> str:
    if len(answers) == 1:
        source = text(answers[0], "source")
        return "\n".join([text(answers[0], "answer"), *([f"  sizes: {source}"] if source else [])])
    if not any(each.get("computed") is True for each in answers):
        return text(answers[0], "answer") if answers else "The catalog has no accelerators."
    return columns([HEADER, *map(_row, answers)], RIGHT)


def _row(answer: JsonObject) -> tuple[str, str, str, str, str]:
    usable = number(answer, "usable_bytes_per_gpu")
    return (
        text(part(answer, "accelerator"), "slug"),
        str(number(answer, "gpus")) if usable else "",
        gigabytes(number(answer, "needed_bytes")),
        gigabytes(usable) if usable else "",
        "fits" if answer.get("fits") is True else "does not fit",
    )
