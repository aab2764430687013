"""Merging of catalog files, and what the shipped ones hold."""

from importlib import resources

import pytest

from headrace.app.adapters import ADAPTERS
from headrace.domain.catalog import NO_QUIRKS, Capability, Model, ModelKind, Quirks
from headrace.domain.errors import ConfigInvalid
from headrace.domain.usage import TokenClass
from headrace.drivers.catalogs.files import shipped_files
from headrace.services.catalog import Catalog, build_catalog, check_catalog, price_versions
from headrace.wire.catalog_file import CatalogText, Origin
from tools.price_lock import LOCK, lost

SHIPPED = """
[provider]
name = "acme"
display_name = "Acme"
base_url = "https://api.example.com/v1/"
auth = "bearer"
key_variable = "ACME_API_KEY"
docs_url = "https://example.com/docs"
checked_on = 2026-11-01

[[models]]
id = "one"
display_name = "One"
owned_by = "acme"
kind = "chat"
capabilities = ["streaming", "tools"]
context_length = 8192
max_output_tokens = 2048
released_on = 2026-01-01
source = "https://example.com/one"
checked_on = 2026-11-02

[[models.prices]]
effective = 2026-01-01
source = "https://example.com/prices"
input = "2"
output = "8"
cache_read = "0.5"

[[models.prices]]
effective = 2026-06-01
source = "https://example.com/prices"
input = "1"
output = "4"
"""


LOCAL_MODEL = """
[[models]]
id = "two"
context_length = 4096
max_output_tokens = 1024
[models.local]
engine = "lama"
memory_mib = 1
[[models.local.weights]]
name = "two.gguf"
sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
size_bytes = 1
licence = "MIT"
sources = ["https://example.com/two.gguf"]
"""


def text(content: str, name: str = "acme", origin: Origin = "operator") -> CatalogText:
    return CatalogText(f"{origin}/{name}.toml", name, origin, content.encode())


def merged(*operators: str) -> Catalog:
    return build_catalog([text(SHIPPED, origin="shipped"), *(text(each) for each in operators)])


def one(catalog: Catalog) -> Model:
    (entry,) = catalog.models["one"]
    return entry


def override(lines: str) -> str:
    return f'[provider]\nname = "acme"\n{lines}'


def test_a_file_becomes_a_provider_and_models() -> None:
    catalog = merged()
    provider = catalog.providers["acme"]
    assert (provider.base_url, provider.auth_header) == ("https://api.example.com/v1", "authorization")
    assert provider.adapter == "openai"
    model = one(catalog)
    assert model.capabilities == {Capability.STREAMING, Capability.TOOLS}
    assert model.default_output_tokens == 2048
    assert (model.upstream_name, model.released_on, model.checked_on) == ("one", "2026-01-01", "2026-11-02")


@pytest.mark.parametrize(
    ("day", "input_pico"), [("2025-12-31", None), ("2026-01-01", 2_000_000), ("2026-06-01", 1_000_000)]
)
def test_the_price_in_force_depends_on_the_day(day: str, input_pico: int | None) -> None:
    price = one(merged()).price_on(day)
    assert (price.rates_pico[TokenClass.INPUT_FRESH] if price else None) == input_pico


def test_classes_that_a_price_leaves_out_take_their_fallback() -> None:
    first, second = one(merged()).prices
    assert first.rates_pico[TokenClass.INPUT_CACHE_READ] == 500_000
    assert first.rates_pico[TokenClass.INPUT_CACHE_WRITE_1H] == 2_000_000
    assert second.rates_pico[TokenClass.INPUT_CACHE_READ] == 1_000_000
    assert second.rates_pico[TokenClass.OUTPUT_REASONING] == 4_000_000


def test_an_override_changes_only_what_it_gives() -> None:
    catalog = merged(
        override('base_url = "http://127.0.0.1:9000/v1"\n[[models]]\nid = "one"\nmax_output_tokens = 512\n')
    )
    assert catalog.providers["acme"].base_url == "http://127.0.0.1:9000/v1"
    assert catalog.providers["acme"].key_variable == "ACME_API_KEY"
    model = one(catalog)
    assert (model.max_output_tokens, model.context_length, model.display_name) == (512, 8192, "One")
    assert [each.id for each in model.prices] == [each.id for each in one(merged()).prices]


def test_an_override_adds_prices_and_replaces_one_of_the_same_day() -> None:
    price = '[[models.prices]]\neffective = {}\nsource = "contract"\ninput = "0.5"\noutput = "2"\n'
    catalog = merged(override('[[models]]\nid = "one"\n' + price.format("2026-06-01") + price.format("2026-09-01")))
    prices = one(catalog).prices
    assert [each.effective for each in prices] == ["2026-01-01", "2026-06-01", "2026-09-01"]
    assert [each.source for each in prices[1:]] == ["contract", "contract"]
    assert prices[0].id == one(merged()).prices[0].id
    assert prices[1].id != one(merged()).prices[1].id


def test_an_override_that_breaks_a_rule_is_found_in_its_own_file() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        merged(override('[[models]]\nid = "one"\nmax_output_tokens = 9000\n'))
    assert caught.value.extra == {"file": "operator/acme.toml", "line": 5}
    assert "context of 8192" in caught.value.message


def test_a_price_of_an_override_is_found_in_its_own_file() -> None:
    price = '[[models.prices]]\neffective = 2026-12-01\nsource = "x"\ninput = "1"\n'
    findings = check_catalog([text(SHIPPED, origin="shipped"), text(override('[[models]]\nid = "one"\n' + price))])
    assert [(each.file, each.line) for each in findings] == [("operator/acme.toml", 5)]


def test_an_adapter_or_engine_that_does_not_exist_is_found() -> None:
    own = override('adapter = "opena"\n') + LOCAL_MODEL
    files = [text(SHIPPED, origin="shipped"), text(own)]
    findings = check_catalog(files, frozenset({"openai", "llamacpp"}))
    assert [(each.line, each.problem, each.fix) for each in findings if "named" in each.problem] == [
        (3, 'no adapter is named "opena"', 'Did you mean "openai"? One of: llamacpp, openai.'),
        (9, 'no engine is named "lama"', 'Did you mean "llamacpp"? One of: llamacpp, openai.'),
    ]
    assert not any("named" in each.problem for each in check_catalog(files))
    assert check_catalog(shipped_files(), ADAPTERS) == ()


def test_a_broken_override_is_the_only_thing_complained_about() -> None:
    findings = check_catalog([text(SHIPPED, origin="shipped"), text(override("base_urll = 1\n"))])
    assert [each.path for each in findings] == ["provider.base_urll"]


def test_an_operator_may_add_a_provider_with_few_keys() -> None:
    own = (
        '[provider]\nname = "own"\nbase_url = "http://127.0.0.1:1/v1"\nauth = "none"\n'
        '[[models]]\nid = "one"\ncontext_length = 4096\nmax_output_tokens = 1024\n'
    )
    catalog = build_catalog([text(SHIPPED, origin="shipped"), text(own, "own")])
    assert [each.provider for each in catalog.models["one"]] == ["own", "acme"]
    added = catalog.models["one"][0]
    assert added.capabilities == {Capability.STREAMING}
    assert (added.kind, added.prices, added.owned_by) == (ModelKind.CHAT, (), "own")


def test_a_shipped_model_must_say_where_its_facts_come_from() -> None:
    bare = SHIPPED.replace('source = "https://example.com/one"\n', "").replace("released_on = 2026-01-01\n", "")
    findings = check_catalog([text(bare, origin="shipped")])
    assert [each.problem for each in findings] == ['"one" has no released_on', '"one" has no source']


def test_a_price_id_depends_on_its_rates_only() -> None:
    first = one(merged()).prices[0].id
    assert first.startswith("acme/one@2026-01-01#")
    same = build_catalog([text(SHIPPED.replace('"2"', '"2.00"').replace("/prices", "/other"), origin="shipped")])
    assert one(same).prices[0].id == first
    dearer = build_catalog([text(SHIPPED.replace('"0.5"', '"0.6"'), origin="shipped")])
    assert one(dearer).prices[0].id != first


def test_the_shipped_catalog_is_right_and_its_prices_are_locked() -> None:
    shipped = price_versions(build_catalog(shipped_files()))
    assert LOCK.read_text(encoding="utf-8").split() == list(shipped)


def test_an_edited_price_is_a_lost_one() -> None:
    shipped = price_versions(merged())
    edited = price_versions(build_catalog([text(SHIPPED.replace('"8"', '"9"'), origin="shipped")]))
    appended = price_versions(
        merged(
            override(
                '[[models]]\nid = "one"\n[[models.prices]]\neffective = 2026-12-01\n'
                'source = "x"\ninput = "1"\noutput = "1"\n'
            )
        )
    )
    assert lost(shipped, edited) == (shipped[0],)
    assert lost(shipped, appended) == ()


def test_embedded_models_say_what_they_can_do_and_where_their_weights_come_from() -> None:
    catalog = build_catalog(shipped_files())
    local = [each for entries in catalog.models.values() for each in entries if each.local is not None]
    assert len(local) == 4
    for model in local:
        assert model.local is not None
        assert Capability.TOOLS not in model.capabilities
        assert model.licence == "Apache-2.0"
        for file in model.local.weights:
            assert file.sources[0].startswith("https://")
            assert len(file.sources) >= 2


def test_the_example_file_is_right() -> None:
    example = resources.files("headrace.catalog").joinpath("compatible.toml.example").read_text(encoding="utf-8")
    assert check_catalog([text(example, "compatible")]) == ()


QUIRKS = """
[provider]
name = "acme"

[provider.quirks]
chat_path = "/deployments/{model}/chat/completions?api-version=1"
cap_field = "max_tokens"
usage_unasked = true
headers = { "X-Title" = "Headrace" }
renamed_fields = { seed = "random_seed" }
dropped_fields = ["user"]
dropped_message_fields = ["name"]
refused_fields = ["logprobs"]

[[models]]
id = "one"
refused_fields = ["temperature"]
"""


def test_quirks_are_read_and_are_none_by_default() -> None:
    assert merged().providers["acme"].quirks is NO_QUIRKS
    catalog = merged(QUIRKS)
    quirks = catalog.providers["acme"].quirks
    assert quirks == Quirks(
        chat_path="/deployments/{model}/chat/completions?api-version=1",
        cap_field="max_tokens",
        usage_unasked=True,
        headers=(("x-title", "Headrace"),),
        renamed_fields={"seed": "random_seed"},
        dropped_fields=frozenset({"user"}),
        dropped_message_fields=frozenset({"name"}),
        refused_fields=frozenset({"logprobs"}),
    )
    assert one(catalog).refused_fields == {"temperature"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('cap_field = "max"', '"max" is not known'),
        ('chat_path = "chat"', '"chat" is not what belongs here'),
        ('usage_unasked = "yes"', '"yes" is not what belongs here'),
        ("headers = { x = 7 }", "this table is not what belongs here"),
        ('renamed_fields = { seed = "Random Seed" }', "this table is not what belongs here"),
        ('dropped_fields = "user"', '"user" is not what belongs here'),
        ('dropped_fields = ["user", "A B"]', '"A B" is not what belongs here'),
        ("quirk = 1", '"quirk" is not a key here'),
    ],
)
def test_a_wrong_quirk_is_named(line: str, problem: str) -> None:
    file = text(f'[provider]\nname = "acme"\n[provider.quirks]\n{line}\n')
    [finding] = check_catalog([text(SHIPPED, origin="shipped"), file])
    assert finding.problem == problem
    assert finding.line == 4
    assert finding.fix
