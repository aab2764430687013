"""Proposals on disk: written apart from the catalog, applied as new entries, never over what is there."""

import json
from pathlib import Path

import pytest

from headrace.app.price_files import LARGEST_LIST_BYTES, PriceFiles
from headrace.domain.errors import ConfigInvalid
from headrace.drivers.catalogs.files import LARGEST_BYTES, CatalogFiles
from headrace.services.catalog import build_catalog
from headrace.testing.clock import FakeClock

pytestmark = pytest.mark.timeout(20)

START_MICROS = 1_764_000_000_000_000
DAY = "2025-11-24"
OWN = """\
[provider]
name = "acme"
base_url = "https://api.example.com/v1"

[[models]]
id = "one"
context_length = 8192
max_output_tokens = 1024

[[models.prices]]
effective = 2025-01-01
source = "x"
input = "1"
output = "4"
"""
LIST = [{"id": "acme", "models": [{"id": "one", "prices": {"input_mtok": 1.5, "output_mtok": 4}}]}]


@pytest.fixture
def files(tmp_path: Path) -> PriceFiles:
    """A catalog folder with one file, and a published list beside it."""
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "acme.toml").write_text(OWN)
    (tmp_path / "list.json").write_text(json.dumps(LIST))
    return PriceFiles(folder, FakeClock(unix_micros=START_MICROS))


def prices(files: PriceFiles) -> list[tuple[str, int]]:
    """The dates and input rates of the one model."""
    (model,) = build_catalog(CatalogFiles(files.folder).read()).models["one"]
    return [(each.effective, each.dearest_input_pico) for each in model.prices]


def test_a_proposal_is_not_in_force_until_it_is_applied(files: PriceFiles, tmp_path: Path) -> None:
    found, paths = files.propose(tmp_path / "list.json", "genai-prices")
    proposal = files.folder / "proposals" / DAY / "acme.toml"
    assert (paths, len(found.proposed)) == ((proposal,), 1)
    assert prices(files) == [("2025-01-01", 1_000_000)]
    assert files.apply(proposal) == files.folder / "acme.toml"
    assert prices(files) == [("2025-01-01", 1_000_000), (DAY, 1_500_000)]
    assert not proposal.exists()
    assert files.compare(tmp_path / "list.json", "genai-prices").proposed == ()


def test_a_proposal_that_waits_is_not_written_over(files: PriceFiles, tmp_path: Path) -> None:
    _, (proposal,) = files.propose(tmp_path / "list.json", "genai-prices")
    proposal.write_text("corrected by hand")
    with pytest.raises(ConfigInvalid, match="is there already"):
        files.propose(tmp_path / "list.json", "genai-prices")
    assert proposal.read_text() == "corrected by hand"


def test_a_proposal_that_would_not_be_right_changes_nothing(files: PriceFiles, tmp_path: Path) -> None:
    _, (proposal,) = files.propose(tmp_path / "list.json", "genai-prices")
    proposal.write_text(proposal.read_text().replace('output = "4"', ""))
    with pytest.raises(ConfigInvalid, match="has no output"):
        files.apply(proposal)
    assert (files.folder / "acme.toml").read_text() == OWN
    assert proposal.exists()


def test_a_shipped_provider_gets_a_file_of_the_operators(files: PriceFiles, tmp_path: Path) -> None:
    listed = [{"id": "openai", "models": [{"id": "gpt-4o", "prices": {"input_mtok": 1, "output_mtok": 2}}]}]
    (tmp_path / "list.json").write_text(json.dumps(listed))
    _, (proposal,) = PriceFiles(files.folder, FakeClock(unix_micros=2 * START_MICROS)).propose(
        tmp_path / "list.json", "genai-prices"
    )
    files.apply(proposal)
    (model,) = [
        each for each in build_catalog(CatalogFiles(files.folder).read()).models["gpt-4o"] if each.provider == "openai"
    ]
    assert model.prices[-1].dearest_input_pico == 1_000_000
    assert len(model.prices) > 1
    assert model.context_length > 0


def test_a_folder_that_cannot_be_written_is_said(files: PriceFiles, tmp_path: Path) -> None:
    (files.folder / "proposals").write_text("a file where the folder should be")
    with pytest.raises(ConfigInvalid, match="cannot be written"):
        files.propose(tmp_path / "list.json", "genai-prices")


def test_a_list_that_is_not_there_is_said(files: PriceFiles, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match="cannot be read"):
        files.compare(tmp_path / "none.json", "genai-prices")


def test_a_providers_own_list_is_compared_with_its_models(files: PriceFiles, tmp_path: Path) -> None:
    listed = {"data": [{"id": "one", "pricing": {"prompt": "0.0000015", "completion": "0.000004"}}]}
    (tmp_path / "list.json").write_text(json.dumps(listed))
    found, (proposal,) = files.propose(tmp_path / "list.json", "provider", "acme")
    assert found.proposed[0].changes[0].what == "input_fresh"
    assert f'source = "provider acme, list.json, read {DAY}"' in proposal.read_text()
    files.apply(proposal)
    assert prices(files) == [("2025-01-01", 1_000_000), (DAY, 1_500_000)]


def test_a_list_of_a_provider_that_does_not_exist_is_refused(files: PriceFiles, tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid, match=r'No provider is named "acmee". Did you mean "acme"\?'):
        files.propose(tmp_path / "list.json", "provider", "acmee")
    assert not (files.folder / "proposals").exists()


@pytest.mark.parametrize(
    ("price", "said"),
    [("NaN", "is not a price"), ("-1", "is not a price"), ("1e30", "is not a price"), ("1500000", "micro-dollars")],
)
def test_what_is_no_price_is_never_applied(files: PriceFiles, tmp_path: Path, price: str, said: str) -> None:
    (tmp_path / "list.json").write_text('{"acme":{"models":{"one":{"cost":{"input":' + price + ',"output":4}}}}}')
    found, (proposal,) = files.propose(tmp_path / "list.json", "models.dev")
    assert any(said in each for each in found.proposed[0].warnings)
    with pytest.raises(ConfigInvalid, match=said):
        files.apply(proposal)
    assert (files.folder / "acme.toml").read_text() == OWN
    assert proposal.exists()


def test_a_list_may_be_longer_than_a_catalog_file(files: PriceFiles, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(json.dumps(LIST) + " " * LARGEST_BYTES)
    assert len(files.compare(tmp_path / "list.json", "genai-prices").proposed) == 1
    with (tmp_path / "long.json").open("wb") as long:
        long.truncate(LARGEST_LIST_BYTES + 1)
    with pytest.raises(ConfigInvalid, match=r"such a file may have"):
        files.compare(tmp_path / "long.json", "genai-prices")
