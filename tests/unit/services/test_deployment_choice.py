"""What the words of a draft mean on one installation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from headrace.domain.accelerator import AcceleratorBook
from headrace.domain.alias import Alias
from headrace.domain.catalog import AVAILABLE, Availability, Listed, LocalRunning, Model, ModelKind
from headrace.domain.dedicated import ScaleTarget, ScalingMetric
from headrace.domain.dedicated_draft import DeploymentDraft
from headrace.domain.errors import Conflict, DriverUnusable, InvalidRequest, Unprocessable
from headrace.domain.fit import DEFAULT_SLOTS
from headrace.services.deployed import with_deployments
from headrace.services.deployment_choice import Chosen, Ground, choose, price_of, public_name
from tests.fakes.breakeven import BIG, SMALL
from tests.fakes.deployed import a_deployment, a_wanted, catalog_snapshot
from tests.fakes.hardware import CPU, UNPRICED, Hardware, engines
from tests.fakes.nouns import a_model, a_price

DRAFT = DeploymentDraft(name="new", model="tiny", accelerator="big", min_scale=0, max_scale=2)
HERE = replace(a_model("tiny", local=LocalRunning("e", (), 1, slots=3), provider="here"), upstream_name="tiny")
AWAY = Availability(False, "no_weights", "Its weights are not here.", "Run `headrace models pull tiny`.")


def listed(model: Model, availability: Availability = AVAILABLE) -> tuple[Listed, ...]:
    return (Listed(model, a_price(), availability),)


def ground(*, availability: Availability = AVAILABLE, **models: Model) -> Ground:
    hardware, snapshot = Hardware(), catalog_snapshot("one")
    catalog = {
        **snapshot.models,
        "tiny": listed(HERE, availability),
        "acme/chat:large": listed(replace(a_model("acme/chat:large"), upstream_name="large")),
        "plain": listed(replace(a_model("plain"), upstream_name="plain")),
        "published": listed(replace(a_model("published"), upstream_name="maker/Published")),
        "draws": listed(a_model("draws", kind=ModelKind.IMAGE)),
        "inside": listed(a_model("inside", local=LocalRunning("encoder", (), 1))),
        **{name: listed(model) for name, model in models.items()},
    }
    snapshot = replace(snapshot, models=catalog, aliases={"daily": Alias("daily", "tiny", (), 1, 1)})
    snapshot = with_deployments(snapshot, (a_deployment(a_wanted()),))
    offers = hardware.offers()
    book = hardware.accelerators.book
    return Ground(snapshot, book, hardware.architectures.book, offers.drivers, engines(), offers.default_driver)


def chosen(around: Ground | None = None, **fields: Any) -> Chosen:
    return choose(replace(DRAFT, **fields), around or ground())


def test_what_is_left_out_is_the_models_own_and_the_installations() -> None:
    found = chosen()
    assert (found.model.id, found.driver, found.engine, found.accelerator, found.gpus) == ("tiny", "local", "e", BIG, 1)
    asked = found.question(DRAFT)
    assert (asked.accelerator, asked.gpus, asked.context_length, asked.slots) == ("big", 1, None, 3)
    assert chosen(model="published").question(DRAFT).slots == DEFAULT_SLOTS
    assert chosen().question(replace(DRAFT, slots=9)).slots == 9


@pytest.mark.parametrize("name", ["maker/Tiny-1B", "MAKER/tiny-1b"])
def test_a_model_is_found_by_its_public_name_too(name: str) -> None:
    assert chosen(model=name).model.id == "tiny"


def test_a_public_name_that_no_book_has_is_found_in_the_catalog() -> None:
    assert chosen(model="maker/Published").model.id == "published"


def test_a_cluster_that_scales_by_itself_holds_no_time_to_the_first_token() -> None:
    first_token, depth = ScaleTarget(ScalingMetric.FIRST_TOKEN, 500), ScaleTarget(ScalingMetric.QUEUE_DEPTH, 2)
    with pytest.raises(InvalidRequest, match="cannot hold a target of first_token_ms") as refused:
        chosen(driver="cluster", target=first_token)
    assert refused.value.param == "spec.model_deployments[0].target.metric"
    assert chosen(driver="cluster", target=depth).driver == "cluster"
    assert chosen(driver="local", target=first_token).driver == "local"


def test_an_engine_that_fetches_runs_what_is_published() -> None:
    for model in ("acme/chat:large", "published"):
        found = chosen(model=model)
        assert (found.engine, found.model.id) == ("fetching", model)
    assert chosen(engine="fetching").engine == "fetching"


def test_the_entry_that_runs_here_goes_before_a_providers() -> None:
    both = ground()
    models = {**both.snapshot.models, "tiny": (*listed(a_model("tiny")), *listed(HERE))}
    assert chosen(replace(both, snapshot=replace(both.snapshot, models=models))).model is HERE


def test_a_machines_name_says_how_many_a_replica_gets_unless_it_is_said() -> None:
    assert chosen(accelerator="gpu-bigx8-1536gb").gpus == 8
    assert chosen(accelerator="gpu-bigx8-1536gb", gpus=4).gpus == 4
    found = chosen(accelerator="cpu")
    assert (found.accelerator, found.gpus) == (CPU, 0)


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"model": ""}, "invalid_request", "is missing"),
        ({"model": "daily"}, "model_not_found", 'name "tiny" instead'),
        ({"model": "prod-llm"}, "invalid_request", 'the model that it runs, "one"'),
        ({"model": "draws"}, "wrong_model_kind", "a model for image"),
        ({"model": "zzzzzz"}, "model_not_found", "models --all"),
        ({"model": "inside"}, "unknown_engine", 'No engine named "encoder" runs deployments. There are: e, fetching.'),
        ({"model": "plain"}, "no_weights", "headrace models add PATH"),
        ({"model": "published", "engine": "e"}, "no_weights", '"e" could run'),
        ({"driver": "zzz"}, "unknown_driver", "There are: cloud, cluster, local."),
        ({"accelerator": ""}, "invalid_request", "one of big, small, cpu, new"),
        ({"accelerator": "zzz"}, "unknown_accelerator", "Known are: big, small, cpu, new."),
        ({"gpus": 0}, "invalid_request", "must be at least 1, not 0"),
        ({"context_length": 5000}, "invalid_request", '"tiny" reads at most 4096 tokens, not 5000'),
        ({"max_scale": 0}, "invalid_request", "lets it sleep"),
    ],
)
def test_what_means_nothing_is_told(fields: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        chosen(**fields)
    assert refused.value.code == code and said in refused.value.message


def test_no_engine_at_all_is_said() -> None:
    with pytest.raises(InvalidRequest, match="There are: none"):
        chosen(replace(ground(), engines={}))


def test_weights_that_are_not_here_are_to_be_pulled() -> None:
    with pytest.raises(Conflict, match="models pull tiny") as refused:
        chosen(ground(availability=AWAY))
    assert refused.value.code == "weights_missing"
    with pytest.raises(Conflict):
        chosen(replace(ground(availability=AWAY)), context_length=256)


def test_a_driver_that_lacks_something_says_what() -> None:
    with pytest.raises(DriverUnusable, match="set-key cloud"):
        chosen(driver="cloud")


def test_a_driver_with_engines_of_its_own_asks_for_none_here() -> None:
    around = ground(availability=AWAY)
    offer = replace(around.drivers["cloud"], check=lambda: None)
    around = replace(around, drivers={"cloud": offer})
    found = chosen(around, driver="cloud")
    assert (found.driver, found.engine) == ("cloud", "")
    with pytest.raises(InvalidRequest, match=r'engines of its own: leave "[^"]*engine" out, not "theirs"'):
        chosen(around, driver="cloud", engine="theirs")


def test_a_change_means_the_model_that_runs_however_many_have_its_public_name() -> None:
    both = ground(other=replace(a_model("other"), upstream_name="maker/Tiny-1B"))
    asked = replace(DRAFT, name="prod-llm", model="maker/Tiny-1B", engine="fetching")
    assert choose(asked, both).model.id == "tiny"
    assert choose(asked, both, a_wanted(model="other")).model.id == "other"


def test_what_cannot_change_is_told_before_whether_the_rest_could_be() -> None:
    with pytest.raises(Unprocessable, match=r'driver" cannot change: it is "local", not "cloud"'):
        choose(replace(DRAFT, name="prod-llm", driver="cloud"), ground(), a_wanted(model="tiny"))


def test_the_price_is_that_of_the_machine_in_force_on_the_day() -> None:
    source = "https://example.com/gpus, in force from 2026-08-01"
    assert price_of(BIG, 8, "gpu-bigx8-1536gb", "2026-11-24") == (20_700_000_000, source)
    assert price_of(BIG, 2, "big", "2026-11-24") == (5_180_000_000, source)
    assert price_of(BIG, 1, "big-spot", "2026-11-24") == (1_000_000_000, f"{source}, spot")
    assert price_of(CPU, 0, "cpu", "2026-11-24")[0] == 40_000_000
    with pytest.raises(InvalidRequest, match="has no price on 2026-11-24") as refused:
        price_of(UNPRICED, 1, "new", "2026-11-24")
    assert refused.value.code == "accelerator_unpriced"


def test_only_a_spot_price_is_better_than_none() -> None:
    spot = replace(SMALL, prices=BIG.prices[3:])
    assert price_of(spot, 1, "small", "2026-11-24")[1].endswith(", spot")


def test_the_public_name_is_the_first_of_its_names() -> None:
    book = Hardware().architectures.book
    assert public_name(HERE, book) == "maker/Tiny-1B"
    assert public_name(replace(a_model("plain"), upstream_name="plain"), book) == ""
    assert AcceleratorBook((BIG,)).find("big") is BIG
