"""Accelerator files: what is read, what adds to what, and what is refused with line and fix."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from headrace.domain.accelerator import Accelerator, AcceleratorBook, Billing
from headrace.domain.errors import ConfigInvalid
from headrace.wire.accelerator_file import AcceleratorText, accelerator_book
from headrace.wire.accelerator_schema import schema_text

SHIPPED = resources.files("headrace.catalog").joinpath("accelerators.toml").read_text(encoding="utf-8")
BOX = """
[[accelerators]]
slug = "box"
name = "BOX"
maker = "Acme"
memory_gb = 24
also_known_as = ["gpu-box-1"]

[[accelerators.prices]]
effective = 2026-05-13
usd_per_hour = "0.5"
source = "a bill"
checked_on = 2026-11-24

[[accelerators.prices]]
effective = 2026-05-13
gpus = 8
billing = "spot"
usd_per_hour = "3.25"
regions = "here"
source = "a bill"
checked_on = 2026-11-24
note = "old"

[[measurements]]
accelerator = "box"
models = ["one", "acme/one"]
measured_on = 2026-11-01
output_tokens_per_second = "2500.5"
input_tokens_per_second = "9000"
latency_target_ms = 500
warm_up_seconds = "61.4"
source = "our own run"
checked_on = 2026-11-24
note = "8 slots"
"""
PRICE = '[[accelerators.prices]]\neffective = 2026-01-01\nusd_per_hour = "1"\nsource = "x"\nchecked_on = 2026-01-01\n'
MEASURED = '[[measurements]]\naccelerator = "box"\nmodels = ["one"]\nsource = "x"\nchecked_on = 2026-01-01\n'


def read(*texts: str) -> AcceleratorBook:
    return accelerator_book(tuple(AcceleratorText(f"{index}.toml", each.encode()) for index, each in enumerate(texts)))


def only(book: AcceleratorBook) -> Accelerator:
    (found,) = book.accelerators
    return found


def test_a_file_is_read_whole() -> None:
    book = read(BOX)
    box = only(book)
    assert (box.slug, box.name, box.maker, box.memory_gb, box.also_known_as) == (
        "box",
        "BOX",
        "Acme",
        24,
        ("gpu-box-1",),
    )
    single, eight = box.prices
    assert (single.nano_per_hour, single.gpus, single.billing, single.regions) == (
        500_000_000,
        1,
        Billing.ON_DEMAND,
        "",
    )
    assert (eight.nano_per_hour, eight.gpus, eight.billing, eight.regions, eight.note) == (
        3_250_000_000,
        8,
        Billing.SPOT,
        "here",
        "old",
    )
    (measured,) = book.measurements
    assert measured.models == ("one", "acme/one")
    assert (measured.output_milli_tokens_per_second, measured.input_milli_tokens_per_second) == (2_500_500, 9_000_000)
    assert (measured.warm_up_millis, measured.latency_target_ms, measured.measured_on) == (61_400, 500, "2026-11-01")


def test_a_later_file_adds_prices_names_and_measurements() -> None:
    own = f'[[accelerators]]\nslug = "box"\nalso_known_as = ["mine"]\n{PRICE.replace("2026-01-01", "2026-11-01", 1)}'
    book = read(BOX, own + MEASURED)
    box = only(book)
    assert (box.name, box.memory_gb, box.also_known_as) == ("BOX", 24, ("gpu-box-1", "mine"))
    current = box.price_on("2026-11-24", 1, Billing.ON_DEMAND)
    assert current is not None
    assert current.nano_per_hour == 1_000_000_000
    assert [each.source for each in book.measurements] == ["x", "our own run"]
    assert book.measurements[0].measured_on is None


def test_on_the_same_day_the_price_of_a_later_file_is_in_force() -> None:
    own = f'[[accelerators]]\nslug = "box"\n{PRICE.replace("2026-01-01", "2026-05-13", 1)}'
    price = only(read(BOX, own)).price_on("2026-11-24", 1, Billing.ON_DEMAND)
    assert price is not None
    assert price.nano_per_hour == 1_000_000_000


def test_an_empty_file_and_windows_line_ends_are_fine() -> None:
    assert read("") == AcceleratorBook(())
    assert only(read(BOX.replace("\n", "\r\n"))).slug == "box"


def test_the_shipped_file_has_the_published_prices() -> None:
    book = read(SHIPPED)

    def usd(name: str, day: str, gpus: int = 1, billing: Billing = Billing.ON_DEMAND) -> int | None:
        found = book.find(name)
        assert found is not None
        price = found.price_on(day, gpus, billing)
        return None if price is None else price.nano_per_hour // 10_000_000

    assert usd("gpu-mi300x1-192gb", "2026-05-13") == 199
    assert usd("mi300x", "2026-07-31") == 199
    assert usd("mi300x", "2026-08-01") == 259
    assert usd("mi300x", "2026-08-01", 8) == 2_070
    assert (usd("h100", "2026-06-01"), usd("h100", "2026-09-01")) == (339, 441)
    assert (usd("b300", "2026-06-01"), usd("b300", "2026-09-01")) == (799, 1_039)
    assert usd("mi350x", "2026-09-01", 1, Billing.SPOT) == 246
    assert usd("mi355x", "2026-09-01") is None
    assert all(each.source and each.checked_on for gpu in book.accelerators for each in gpu.prices)


def test_no_throughput_is_shipped_that_nobody_published_for_a_gpu_and_a_model() -> None:
    assert all(each.output_milli_tokens_per_second is None for each in read(SHIPPED).measurements)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("x =", 1, "not valid TOML"),
        ("a = 1\nb = =", 2, "not valid TOML"),
        ("[[acelleraters]]", 1, 'Did you mean "accelerators"?'),
        ("speed = 1", 1, "Keys here: accelerators, measurements."),
        (BOX.replace('"0.5"', "0.5"), 11, 'Dollars per hour in quotes, at most six decimal places, like "2.59".'),
        (BOX.replace('"0.5"', '"-0.5"'), 11, "usd_per_hour: Dollars per hour"),
        (BOX.replace('"0.5"', '"0.1234567"'), 11, "usd_per_hour: Dollars per hour"),
        (BOX.replace('"spot"', '"sport"'), 18, "'sport'"),
        (BOX.replace("memory_gb = 24\n", ""), 2, '"memory_gb" is missing'),
        (BOX.replace('slug = "box"\n', ""), 2, "slug: The accelerator's name in commands"),
        (BOX + BOX, 38, '"box" stands here a second time'),
        (BOX.replace("gpus = 8\nbilling", "billing").replace('"spot"', '"on_demand"'), 16, "is not after 2026-05-13"),
        (BOX.replace('accelerator = "box"', 'accelerator = "bix"'), 26, 'Did you mean "box"?'),
        (BOX.replace('accelerator = "box"', 'accelerator = "h100"'), 26, "Known are: box."),
        (BOX.replace('"2500.5"', '"0"'), 29, "nothing is ever done at 0"),
        (BOX.replace('models = ["one", "acme/one"]', "models = []"), 27, "at least one"),
        ("accelerators = 1", 1, "Keys here: slug, name"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_fix(text: str, line: int, said: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read(text)
    assert caught.value.message.startswith(f"0.toml:{line}: ")
    assert said in caught.value.message
    assert "fix: " in caught.value.message


def test_what_is_no_text_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigInvalid, match=r"a\.toml:2: byte 5 is not UTF-8"):
        accelerator_book((AcceleratorText("a.toml", b"# ab\n\xff"),))


def schema() -> dict[str, Any]:
    text = resources.files("headrace.catalog").joinpath("accelerators.schema.json").read_text(encoding="utf-8")
    return json.loads(text)


def as_json(text: str) -> Any:
    return json.loads(json.dumps(tomllib.loads(text), default=str))


def test_the_schema_in_the_package_is_that_of_the_types() -> None:
    assert schema() == json.loads(schema_text())


@pytest.mark.parametrize("text", [SHIPPED, BOX], ids=["shipped", "own"])
def test_a_right_file_is_valid_under_the_schema(text: str) -> None:
    jsonschema.validate(as_json(text), schema())


@pytest.mark.parametrize(("old", "new"), [('"0.5"', "0.5"), ('"spot"', '"sport"'), ("memory_gb", "memory")])
def test_the_schema_refuses_what_the_reader_refuses(old: str, new: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(as_json(BOX.replace(old, new)), schema())


def test_the_example_of_the_page_is_read() -> None:
    page = (Path(__file__).parents[3] / "docs/breakeven.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    book = accelerator_book((AcceleratorText("own", example.encode()),))
    assert [each.slug for each in book.accelerators] == ["our-h100"]
    assert [each.output_milli_tokens_per_second for each in book.measurements] == [2_500_000]
