"""Usage as providers send it, the classes that it becomes, and its lines, exact to the nano-dollar.

Amounts in the cases were worked out apart from the product, in fractions. Where a case names a shipped model, the price
of that model must be the one that the case gives.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from headrace.domain.call import Call, Operation
from headrace.domain.price import PriceVersion, price_lines
from headrace.domain.usage import Usage
from headrace.drivers.catalogs.files import shipped_files
from headrace.services.catalog import build_catalog, check_catalog
from headrace.services.metering import estimated_usage
from headrace.services.price_versions import price_version
from headrace.wire import anthropic_usage, images, openai_usage, rerank, responses_usage, speech
from headrace.wire.catalog_file import CatalogText
from headrace.wire.catalog_schema import PriceTable
from headrace.wire.json_strict import encode
from tests.fakes.nouns import CALLER, a_target

FOLDER = Path(__file__).parent
Case = Mapping[str, Any]
CASES: list[tuple[str, Case]] = [
    (f"{path.stem}: {case['name']}", case)
    for path in sorted(FOLDER.glob("*.json"))
    for case in json.loads(path.read_text())
]
CATALOG = build_catalog(shipped_files())
LEAST_CASES = 150


def usage_of(case: Case) -> Usage | None:
    """Read the case's payload as the product does."""
    payload = case["payload"]
    match case["dialect"]:
        case "chat" | "embeddings":
            return openai_usage.read_usage(payload, reasoning_apart=case.get("reasoning_apart", False))
        case "messages":
            return anthropic_usage.read_usage(payload)
        case "responses":
            return responses_usage.read_usage(payload)
        case "images":
            return images.read_usage(payload)
        case "rerank":
            return rerank.read_usage(payload)
        case _:
            envelope = speech.read_envelope(payload, len(encode(payload)))
            spoken = Call("req_1", Operation.SPEECH, CALLER, envelope, payload, 0)
            return replace(estimated_usage(spoken, a_target(price=price_of(case)), 0), input_fresh=0)


def price_of(case: Case) -> PriceVersion:
    """Make the case's price as a catalog file would."""
    table = msgspec.convert({"effective": "2026-11-01", "source": "golden", **case["price"]}, PriceTable)
    price = price_version(table, "model", "golden")
    tier = case.get("service_tier")
    price = price if tier is None else price.service_tiers[tier].price
    return replace(price, markup_ppm=case.get("markup_ppm", 1_000_000))


def at_micros(case: Case) -> int:
    """When the attempt of the case was held."""
    return int(datetime.fromisoformat(case["at"]).timestamp()) * 1_000_000


@pytest.mark.parametrize("case", [case for _, case in CASES], ids=[name for name, _ in CASES])
def test_a_payload_becomes_these_lines(case: Case) -> None:
    usage = usage_of(case)
    assert usage is not None
    assert {each.value: quantity for each, quantity in usage.quantities()} == case["usage"]
    assert (usage.anomaly, usage.source) == (case.get("anomaly"), case.get("source", "upstream"))
    lines = price_lines(usage, price_of(case), at_micros(case), batch=case.get("batch", False))
    shown = [[line.kind, line.quantity, line.price_pico, line.cost_nano, line.charge_nano] for line in lines]
    assert shown == case["lines"]


def test_the_amounts_of_the_cases_are_their_own_quantities_times_rates_in_fractions() -> None:
    for name, case in CASES:
        markup = Fraction(case.get("markup_ppm", 1_000_000), 1_000_000)
        for _, quantity, pico, cost, charge in case["lines"]:
            exact = Fraction(quantity * pico, 1_000)
            # Python rounds fractions half to even, as a line is.
            assert (round(exact), round(exact * markup)) == (cost, charge), name


NAMED = sorted({(case["model"], json.dumps(case["price"])) for _, case in CASES if "model" in case})


@pytest.mark.parametrize(("model", "price"), NAMED, ids=[model for model, _ in NAMED])
def test_a_shipped_model_has_the_price_that_the_cases_give(model: str, price: str) -> None:
    provider, _, name = model.partition("/")
    (entry,) = [each for each in CATALOG.models[name] if each.provider == provider]
    shipped = entry.price_on("2026-11-25")
    wanted = price_of({"price": json.loads(price)})
    assert shipped is not None
    assert (shipped.rates_pico, shipped.tiers, shipped.windows, shipped.batch_ppm) == (
        wanted.rates_pico,
        wanted.tiers,
        wanted.windows,
        wanted.batch_ppm,
    )


def test_there_are_cases_enough_of_every_dialect() -> None:
    dialects = Counter(cast("str", case["dialect"]) for _, case in CASES)
    assert dialects.total() >= LEAST_CASES
    assert dialects.keys() == {"chat", "messages", "responses", "embeddings", "images", "rerank", "speech"}
    kinds = {line[0] for _, case in CASES for line in case["lines"]}
    assert len(kinds) == 17, "every class of tokens and units is priced in some case"


def test_every_price_of_a_case_could_stand_in_a_catalog_file() -> None:
    prices = {json.dumps(case["price"]) for _, case in CASES}
    for number, text in enumerate(sorted(prices)):
        price = json.loads(text)
        lines = ['[provider]\nname = "case"\nbase_url = "https://x.example/v1"\n[[models]]\nid = "m"']
        lines += ["context_length = 10", 'kind = "rerank"', '[[models.prices]]\neffective = 2026-11-01\nsource = "x"']
        lines += [f"{key} = {json.dumps(value)}" for key, value in price.items() if isinstance(value, str)]
        tiers = ", ".join(f'{name} = "{times}"' for name, times in price.get("service_tiers", {}).items())
        lines += [f"service_tiers = {{ {tiers} }}"] if tiers else []
        for name in ("tiers", "windows"):
            for table in price.get(name, ()):
                lines.append(f"[[models.prices.{name}]]")
                lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        file = CatalogText(f"{number}.toml", "case", "operator", "\n".join(lines).encode())
        said = [each.problem for each in check_catalog([file])]
        assert all("cheaper than any model" in each for each in said), (text, said)
