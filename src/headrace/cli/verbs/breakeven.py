"""`headrace breakeven`: from how many requests an hour on a GPU of one's own costs less than paying by the token."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Literal

from cyclopts import Parameter

from headrace.cli.breakeven_text import breakeven_text
from headrace.cli.client import ApiClient, given
from headrace.cli.verb_shapes import Told, asks_server
from headrace.domain.breakeven_question import Form
from headrace.domain.errors import ConfigInvalid
from headrace.domain.json_value import JsonObject
from headrace.wire.breakeven_body import fields_of

PATH = "/v2/breakeven"
FORMS = frozenset({"full", "from_ledger"})
Text = str | None
Number = int | None


def _says(text: str) -> Parameter:
    return Parameter(help=text)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionFlags:
    """The form of the question, and its numbers by the names that the API has; decimals go as they were typed."""

    full: Annotated[
        bool, Parameter(help="Every token class, capacity, replicas; any flag of this form does the same.", negative="")
    ] = False
    from_ledger: Annotated[
        bool, Parameter(help="Ask about the traffic that was served here, hour by hour.", negative="")
    ] = False
    provider: Annotated[Text, _says("Who serves the model; the first that does, without.")] = None
    gpus: Annotated[Number, _says("GPUs of one replica (1).")] = None
    billing: Annotated[Literal["on_demand", "spot"] | None, _says("How the hour is bought (on_demand).")] = None
    on: Annotated[Text, _says("The date whose prices are meant, like 2026-08-01 (today).")] = None
    gpu_usd_per_hour: Annotated[Text, _says("What an hour of one replica costs, in place of the catalog's price.")] = (
        None
    )
    tokens_per_request: Annotated[Number, _says("Simple form: tokens of a request (1701).")] = None
    input_usd_per_mtok: Annotated[Text, _says("Dollars per million input tokens, in place of the catalog's.")] = None
    cache_read_usd_per_mtok: Annotated[Text, _says("The same, read from the cache.")] = None
    cache_write_usd_per_mtok: Annotated[Text, _says("The same, written to the cache.")] = None
    output_usd_per_mtok: Annotated[Text, _says("Dollars per million output tokens.")] = None
    reasoning_usd_per_mtok: Annotated[Text, _says("Dollars per million reasoning tokens.")] = None
    input_tokens: Annotated[Number, _says("Input tokens of a request that are not cached (1200).")] = None
    cached_tokens: Annotated[Number, _says("Input tokens read from the cache (0).")] = None
    cache_write_tokens: Annotated[Number, _says("Input tokens written to the cache (0).")] = None
    output_tokens: Annotated[Number, _says("Output tokens of a request without reasoning (500).")] = None
    reasoning_tokens: Annotated[Number, _says("Reasoning tokens of a request (0).")] = None
    batch_share_percent: Annotated[Text, _says("How many of the requests go in batches (0).")] = None
    batch_price_percent: Annotated[Text, _says("What a batch costs of the full price (50).")] = None
    active_hours_per_day: Annotated[Number, _says("Hours of a day that have traffic (24).")] = None
    off_peak_hours: Annotated[Number, _says("How many of them have the time-of-day price (0).")] = None
    off_peak_price_percent: Annotated[Text, _says("What the time-of-day price is of the full one (100).")] = None
    tokens_per_second: Annotated[Text, _says("Output tokens a second of one replica, at the latency target.")] = None
    input_tokens_per_second: Annotated[Text, _says("Input tokens a second of one replica, where that limits.")] = None
    latency_target_ms: Annotated[Number, _says("The latency target of these figures.")] = None
    throughput_source: Annotated[Text, _says("Who measured them, when and how; without, they are assumed.")] = None
    utilisation_percent: Annotated[Text, _says("How busy a replica may be (100).")] = None
    min_replicas: Annotated[Number, _says("Replicas that always run (1).")] = None
    spare_replicas: Annotated[Number, _says("Replicas beside those that the load needs (0).")] = None
    warm_up_seconds: Annotated[Text, _says("How long a start takes that is paid before it serves.")] = None
    sleep_after_minutes: Annotated[Number, _says("Scale to zero after so many idle minutes, 0 to 60.")] = None
    stand_in: Annotated[Text, _says("The model that dedicated would run in the place of this one.")] = None
    quality_note: Annotated[Text, _says("What is known of its answers beside those of the other.")] = None
    days: Annotated[Number, _says("With --from-ledger: how many days back, 1 to 31 (7).")] = None


NO_QUESTION = QuestionFlags()


@asks_server
def breakeven(
    client: ApiClient,
    model: Text = None,
    gpu: Text = None,
    requests_per_hour: Annotated[Number, Parameter(name=("--requests-per-hour", "--requests"))] = None,
    *,
    question: QuestionFlags = NO_QUESTION,
) -> Told:
    """Compare paying per token with paying per GPU hour. Every figure shows its formula and inputs.

    Parameters
    ----------
    model:
        The model that is paid per token. With --from-ledger, all models if none is named.
    gpu:
        The GPU that would serve it, such as mi300x.
    requests_per_hour:
        The load.
    """
    body: JsonObject = {"model": model, "gpu": gpu, "requests_per_hour": requests_per_hour}
    body |= {each.name: getattr(question, each.name) for each in fields(question) if each.name not in FORMS}
    body = given(**body)
    body["form"] = _form(frozenset(body), question).value
    reply = client.send("POST", PATH, "admin", body)
    return Told(reply, breakeven_text(reply))


def _form(given: frozenset[str], question: QuestionFlags) -> Form:
    if question.full and question.from_ledger:
        raise ConfigInvalid("--full and --from-ledger exclude each other. Drop one.", code="usage")
    if question.from_ledger:
        return Form.LEDGER
    return Form.FULL if question.full or given - fields_of(Form.SIMPLE) else Form.SIMPLE
