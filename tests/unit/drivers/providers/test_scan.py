"""Which providers bring an adapter of their own."""

from headrace.drivers.catalogs.files import shipped_files
from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.drivers.providers.scan import provider_adapters
from headrace.services.catalog import build_catalog
from headrace.testing.clock import FakeClock


def test_every_adapter_found_is_named_by_its_provider_in_the_catalog() -> None:
    found = provider_adapters()
    providers = build_catalog(shipped_files()).providers.values()
    assert set(found) == {each.adapter for each in providers if each.adapter == each.name} - {"openai", "anthropic"}
    assert found, "without any, nothing was looked for"


def test_what_is_found_builds_an_adapter() -> None:
    for build in provider_adapters().values():
        assert isinstance(build(FakeClock()), OpenAiAdapter)
