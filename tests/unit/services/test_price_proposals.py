"""Comparing published prices with those in force, proposing them, and adding reviewed ones to a file."""

import datetime

import pytest

from headrace.domain.errors import ConfigInvalid
from headrace.services.catalog import Catalog, build_catalog, check_catalog
from headrace.services.price_proposals import Change, Comparison, check_new, compare, proposal_texts, with_prices
from headrace.wire.catalog_file import CatalogFile, CatalogText, read_catalog_file
from headrace.wire.price_sources import Offered, catalog_of

DAY = "2026-11-25"
OWN = """\
# Ours.
[provider]
name = "acme"
base_url = "https://api.example.com/v1"

[[models]]
id = "one"
upstream_name = "acme/one"
context_length = 8192
max_output_tokens = 1024

[[models.prices]]
effective = 2026-07-02
source = "x"
input = "1"
output = "4"
batch_multiplier = "0.5"

# The second.
[[models]]
id = "two"
context_length = 8192
max_output_tokens = 1024

[[models.prices]]
effective = 2026-11-25
source = "x"
input = "2"
output = "8"

[[models.prices.tiers]]
over_input_tokens = 1000
input = "3"
output = "9"
"""


def text_of(data: str, name: str = "acme") -> CatalogText:
    """A file of the operator's."""
    return CatalogText(f"{name}.toml", name, "operator", data.encode())


def catalog(data: str = OWN) -> Catalog:
    """The catalog of one file."""
    return build_catalog([text_of(data)])


def offer(name: str = "one", left_out: tuple[str, ...] = (), /, **table: object) -> Offered:
    """What a source says of a model."""
    return Offered("acme", frozenset({name}), table, left_out)


def found(*offers: Offered) -> Comparison:
    """What these offers would change."""
    return compare(catalog(), offers, DAY, "list, read today")


def test_a_price_that_differs_is_proposed_from_today_with_its_percent() -> None:
    comparison = found(offer("acme/one", input="1.5", output="4"), Offered("acme", frozenset({"other"}), {}))
    (proposed,) = comparison.proposed
    assert (proposed.model_id, proposed.current) == ("one", catalog().models["one"][0].prices[0].id)
    assert proposed.changes == (
        Change("input_fresh", "1/M", "1.5/M", 500),
        Change("input_cache_read", "1/M", "1.5/M", 500),
        Change("input_cache_write_5m", "1/M", "1.5/M", 500),
        Change("input_cache_write_1h", "1/M", "1.5/M", 500),
    )
    assert proposed.table == {
        "effective": datetime.date(2026, 11, 25),
        "source": "list, read today",
        "input": "1.5",
        "output": "4",
        "batch_multiplier": "0.5",
    }
    assert (comparison.same, comparison.elsewhere, proposed.warnings) == (0, 1, ())


def test_a_price_that_is_the_same_is_not_proposed() -> None:
    assert found(offer(input="1", output="4")) == Comparison((), 1, 0)
    tiers = [{"over_input_tokens": 1000, "input": "3", "output": "9"}]
    assert found(offer("two", input="2", output="8", tiers=tiers)).same == 1


def test_a_price_of_today_is_followed_by_one_of_tomorrow() -> None:
    (proposed,) = found(offer("two", input="2", output="8")).proposed
    assert proposed.table["effective"] == datetime.date(2026, 11, 26)
    assert proposed.changes[0] == Change("input_fresh over 1,000 tokens", "3/M", None)


def test_new_tiers_hours_and_units_are_changes() -> None:
    window = {"from_utc": "16:30", "to_utc": "00:30", "days": ["mon"], "multiplier": "0.5"}
    own = {"from_utc": "02:00", "to_utc": "03:00", "input": "1", "output": "2", "usd_per_search": "0.02"}
    tiers = [{"over_input_tokens": 9, "input": "2", "output": "5", "usd_per_search": "0.01"}]
    (proposed,) = found(
        offer(input="1", output="4", usd_per_search="0.01", tiers=tiers, windows=[window, own])
    ).proposed
    changes = {each.what: (each.before, each.after) for each in proposed.changes}
    assert changes["search"] == (None, "0.01 each")
    assert changes["output_text over 9 tokens"] == (None, "5/M")
    assert changes["hours"] == (
        None,
        "16:30-00:30 mon times 0.5, 02:00-03:00 own rates input_fresh 1 input_cache_read 1 input_cache_write_5m 1"
        " input_cache_write_1h 1 output_text 2 output_reasoning 2 search 0.02",
    )


def test_the_operators_markup_stays() -> None:
    marked = catalog(OWN.replace('output = "4"\n', 'output = "4"\nmarkup = "1.2"\n'))
    (proposed,) = compare(marked, [offer(input="1.5", output="4")], DAY, "x").proposed
    assert (proposed.table["markup"], proposed.table["batch_multiplier"]) == ("1.2", "0.5")
    assert "markup = " in proposal_texts(compare(marked, [offer(input="1.5", output="4")], DAY, "x"))["acme"]


def test_a_source_that_says_what_a_batch_pays_is_believed() -> None:
    says = Offered("acme", frozenset({"one"}), {"input": "1", "output": "4"}, says_batch=True)
    (proposed,) = compare(catalog(), [says], DAY, "x").proposed
    assert proposed.changes == (Change("in a batch", "times 0.5", "times 1"),)


@pytest.mark.parametrize(
    ("table", "warning"),
    [
        ({"input": "0.000001", "output": "0.000004"}, "is it a price per token?"),
        ({"input": "0.001", "output": "4"}, "is 4000 times input"),
        ({"input": "12", "output": "4"}, "input_fresh changes 10 times or more: is it another unit?"),
        ({"input": "0.1", "output": "4"}, "input_fresh changes 10 times or more: is it another unit?"),
        ({"output": "4"}, '"input" is missing'),
        (
            {"input": "1", "output": "4", "windows": [{"from_utc": "1:00", "to_utc": "02:00", "multiplier": "2"}]},
            "match",
        ),
    ],
)
def test_what_looks_like_another_unit_or_cannot_stand_in_a_file_is_said(table: dict[str, object], warning: str) -> None:
    (proposed,) = found(offer(**table)).proposed
    assert any(warning in each for each in proposed.warnings), proposed.warnings


def test_what_a_price_cannot_say_is_said() -> None:
    (proposed,) = found(offer("one", ("input_video_mtok",), input="2", output="4")).proposed
    assert proposed.warnings == ("the source also has input_video_mtok, which a price here cannot say",)


def test_a_proposal_is_a_catalog_file_that_says_what_it_changes() -> None:
    comparison = found(offer(input="1.5", output="4"), offer("two", input="20", output="80"))
    (text,) = proposal_texts(comparison).values()
    assert "# input_fresh: 1/M -> 1.5/M\n" in text
    assert "# input_fresh changes 10 times or more: is it another unit?\n" in text
    assert "# input_fresh over 1,000 tokens: 3/M -> none\n" in text
    proposal = catalog_of("acme.toml", text.encode())
    assert [each.id for each in proposal.tables.models] == ["one", "two"]
    check_new(proposal, catalog())


def proposal(data: str) -> CatalogFile:
    """A proposal of this text."""
    return catalog_of("proposal.toml", f'[provider]\nname = "acme"\n{data}'.encode())


NEW_ONE = '[[models]]\nid = "one"\n[[models.prices]]\neffective = {}\nsource = "r"\ninput = "1.5"\noutput = "4"\n'
NEW_TWO = """
[[models]]
id = "two"

[[models.prices]]
effective = 2026-12-01
source = "reviewed"
input = "2.5"
output = "8"

[[models.prices.windows]]
from_utc = "01:00"
to_utc = "02:00"
days = ["sat", "sun"]
multiplier = "2"
"""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (NEW_ONE.format("2026-07-02"), "one has a price of 2026-07-02 already"),
        (NEW_ONE.format("2026-07-01"), "Write a later date than 2026-07-02"),
        (NEW_ONE.replace('"one"', '"three"').format("2026-12-01"), '"three" is not in the catalog at acme'),
    ],
)
def test_only_later_prices_of_known_models_are_applied(data: str, message: str) -> None:
    with pytest.raises(ConfigInvalid, match=message):
        check_new(proposal(data), catalog())


def test_new_prices_stand_below_the_old_ones_of_their_model_and_nothing_else_moves() -> None:
    own = read_catalog_file(text_of(OWN))
    assert isinstance(own, CatalogFile)
    text = with_prices(OWN, proposal(NEW_ONE.format("2026-12-01") + NEW_TWO), own)
    assert check_catalog([text_of(text)]) == ()
    first, second = build_catalog([text_of(text)]).models["one"][0], build_catalog([text_of(text)]).models["two"][0]
    assert [each.effective for each in first.prices] == ["2026-07-02", "2026-12-01"]
    assert [each.effective for each in second.prices] == ["2026-11-25", "2026-12-01"]
    assert second.prices[1].windows[0].days == {5, 6}
    remaining = iter(text.split("\n"))
    assert all(line in remaining for line in OWN.rstrip("\n").split("\n")), "every old line, in the old order"
    assert '\n\n# The second.\n[[models]]\nid = "two"' in text


def test_a_provider_without_a_file_gets_one() -> None:
    assert with_prices(None, proposal(NEW_ONE.format("2026-12-01")), None) == (
        '[provider]\nname = "acme"\n\n[[models]]\nid = "one"\n\n[[models.prices]]\neffective = 2026-12-01\n'
        'source = "r"\ninput = "1.5"\noutput = "4"\n'
    )


def test_service_tiers_are_compared_and_stay_where_a_source_says_nothing_of_them() -> None:
    own = OWN.replace('output = "4"\n', 'output = "4"\nservice_tiers = { flex = "0.5", slow = "0.25" }\n')
    (kept,) = compare(catalog(own), [offer(input="2", output="4")], DAY, "x").proposed
    assert kept.table["service_tiers"] == {"flex": "0.5", "slow": "0.25"}
    table = {"input": "1", "output": "4", "batch_multiplier": "0.5", "service_tiers": {"flex": "0.5", "priority": "2"}}
    says = Offered("acme", frozenset({"one"}), table, says_service_tiers=True)
    comparison = compare(catalog(own), [says], DAY, "x")
    (proposed,) = comparison.proposed
    assert proposed.changes == (
        Change("service tier priority", None, "times 2"),
        Change("service tier slow", "times 0.25", None),
    )
    text = proposal_texts(comparison)["acme"]
    assert 'service_tiers = { flex = "0.5", priority = "2" }' in text
    parsed = read_catalog_file(text_of(own))
    assert isinstance(parsed, CatalogFile)
    applied = with_prices(own, catalog_of("p.toml", text.encode()), parsed)
    assert not check_catalog([text_of(applied)])
    assert list(catalog(applied).models["one"][0].prices[-1].service_tiers) == ["flex", "priority"]


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ("NaN", '"NaN" is not a price'),
        ("Infinity", '"Infinity" is not a price'),
        ("-1", '"-1" is not a price'),
        ("1E+400", '"1E+400" is not a price'),
        ("1000000", "is it in micro-dollars?"),
        ("0.0000001", "is it a price per token?"),
        ("0.0005", "is it a price per thousand?"),
        ("100", "changes 10 times or more: is it another unit?"),
    ],
)
def test_a_price_in_another_unit_or_none_at_all_is_shown_with_the_fix(price: str, said: str) -> None:
    (proposed,) = found(offer(input=price, output="4")).proposed
    assert any(said in each for each in proposed.warnings), proposed.warnings


def test_another_currency_is_shown_with_the_fix() -> None:
    (proposed,) = found(offer(input="1", output="4", currency="EUR")).proposed
    assert proposed.warnings == (
        'currency: "EUR" is not USD. Prices are in US dollars: convert it, and say the rate and its date in source.',
    )


def test_a_model_without_a_price_in_force_gets_its_first() -> None:
    later = OWN.replace("effective = 2026-07-02", "effective = 2026-12-01")
    (proposed,) = compare(catalog(later), [offer(input="1", output="4")], DAY, "x").proposed
    assert (proposed.current, proposed.table["effective"]) == (None, datetime.date(2026, 12, 2))
    assert proposed.changes[0] == Change("input_fresh", None, "1/M")


def test_what_a_source_calls_its_prices_writes_nothing_into_a_proposal() -> None:
    named = 'video\n[[models]]\nid = "two"\x1b[2J'
    offer = Offered("acme", frozenset({"one"}), {"input": "2", "output": "4"}, (named,))
    found = compare(catalog(), [offer], DAY, "list.json")
    (text,) = proposal_texts(found).values()
    assert [each.id for each in catalog_of("p.toml", text.encode()).tables.models] == ["one"]
    assert all(warning.isprintable() for each in found.proposed for warning in each.warnings)
