"""What the shipped catalog offers: how many models, with which facts, by which providers, under which names."""

import datetime
from collections.abc import Mapping
from pathlib import Path

import pytest

from headrace.app.adapters import ADAPTERS
from headrace.domain.catalog import Model, ModelKind, Provider
from headrace.drivers.catalogs.files import shipped_files
from headrace.services.catalog import build_catalog, check_catalog
from headrace.wire.catalog_file import CatalogText

EXAMPLES = Path(__file__).parents[2] / "src/headrace/catalog/examples"
TODAY = "2026-11-25"
CATALOG = build_catalog(shipped_files(), ADAPTERS)
MODELS = [each for entries in CATALOG.models.values() for each in entries]
LEAST_CHAT_MODELS = 50
COMMON = {
    "openai", "anthropic", "google", "mistral", "groq", "deepseek", "together", "fireworks", "openrouter",
    "digitalocean", "ollama",
}  # fmt: skip
# Listed by DigitalOcean without a price that we could read: shown, not called.
UNPRICED = {
    "anthropic-claude-fable-5", "deepseek-v3", "ministral-3-8b-instruct-2512", "mistral-7b-instruct-v0.3",
    "nemotron-3-nano-30b", "qwen-2.5-14b-instruct",
}  # fmt: skip


def outside() -> list[Model]:
    return [each for each in MODELS if each.local is None]


def named(model: Model) -> str:
    return f"{model.provider}/{model.id}"


def test_many_chat_models_can_be_called_today() -> None:
    callable_today = {
        each.id
        for each in outside()
        if each.kind is ModelKind.CHAT
        and each.price_on(TODAY) is not None
        and (each.retired_on is None or each.retired_on > TODAY)
    }
    assert len(callable_today) >= LEAST_CHAT_MODELS


def test_the_common_providers_are_there() -> None:
    assert CATALOG.providers.keys() >= COMMON


@pytest.mark.parametrize("provider", CATALOG.providers.values(), ids=lambda each: each.name)
def test_a_provider_says_how_it_is_reached_and_where_that_was_read(provider: Provider) -> None:
    assert provider.docs_url.startswith("https://")
    assert datetime.date.fromisoformat(provider.checked_on) <= datetime.date(2026, 11, 25)
    if provider.name not in ("embedded", "ollama"):
        assert provider.base_url.startswith("https://")
        assert provider.needs_credential
        assert provider.key_variable is not None


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_model_has_its_facts_with_source_and_date(model: Model) -> None:
    assert model.source.startswith("https://")
    assert model.released_on < model.checked_on <= TODAY
    assert model.context_length > 0
    if model.kind is ModelKind.CHAT:
        assert "streaming" in model.capabilities
        assert 0 < model.default_output_tokens <= model.max_output_tokens <= model.context_length


@pytest.mark.parametrize("model", MODELS, ids=named)
def test_a_price_is_dated_and_sourced(model: Model) -> None:
    assert all(price.source and price.effective <= TODAY for price in model.prices)
    assert bool(model.prices) is not (model.provider == "digitalocean" and model.id in UNPRICED)


def test_no_price_was_ever_a_float() -> None:
    for file in shipped_files():
        numbers = [
            line for line in file.data.decode().splitlines() if line.startswith(("input =", "output =", "cache_"))
        ]
        assert all(line.endswith('"') for line in numbers), file.file


def test_offers_of_one_id_are_the_same_model() -> None:
    makers: dict[str, set[str]] = {}
    for model in outside():
        makers.setdefault(model.id, set()).add(model.owned_by)
    assert {name: found for name, found in makers.items() if len(found) > 1} == {}
    several = [name for name, entries in CATALOG.models.items() if len(entries) > 1]
    assert {"gpt-5", "gpt-oss-120b", "claude-haiku-4-5", "deepseek-v4-pro"} <= set(several)


def test_ids_of_one_model_at_several_hosts_carry_no_host() -> None:
    assert [named(each) for each in outside() if "/" in each.id] == []


def test_what_a_model_refuses_is_not_among_what_it_can() -> None:
    needs: Mapping[str, str] = {"logprobs": "logprobs", "n": "multiple_choices", "seed": "seed"}
    for model in outside():
        refused = model.refused_fields | CATALOG.providers[model.provider].quirks.refused_fields
        able = {each.value for each in model.capabilities}
        assert not {needs[name] for name in refused & needs.keys()} & able, named(model)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_an_example_can_be_copied_as_it_is(path: Path) -> None:
    text = CatalogText(path.name, path.stem, "operator", path.read_bytes())
    assert check_catalog((*shipped_files(), text), ADAPTERS) == ()
    assert path.stem not in CATALOG.providers, "an example is no provider until it is copied"


def test_there_is_an_example_for_each_server_whose_address_is_the_operators() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.toml")} == {"vllm", "sglang", "llamacpp", "azure"}
