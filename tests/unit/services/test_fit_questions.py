"""Questions about fit by name: models, aliases, names nobody has, and all accelerators at once."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from headrace.domain.alias import Alias
from headrace.domain.catalog import AVAILABLE, Listed, Model
from headrace.domain.errors import InvalidRequest
from headrace.domain.snapshot import Snapshot
from headrace.services.fit_questions import model_named
from tests.fakes.nouns import LOCAL, a_model


def a_snapshot(*models: Model, aliases: tuple[Alias, ...] = ()) -> Snapshot:
    by_id: dict[str, tuple[Listed, ...]] = {}
    for each in models:
        by_id[each.id] = (*by_id.get(each.id, ()), Listed(each, None, AVAILABLE))
    snapshot = Snapshot(1, MappingProxyType(by_id), MappingProxyType({}), MappingProxyType({}))
    return replace(snapshot, aliases=MappingProxyType({each.name: each for each in aliases}))


def test_what_runs_here_goes_before_what_a_provider_has() -> None:
    here = a_model(local=LOCAL, provider="embedded")
    assert model_named("one", a_snapshot(a_model(), here)) is here
    assert model_named("one", a_snapshot(a_model())).provider == "acme"


def test_an_alias_stands_for_its_model() -> None:
    assert model_named("app", a_snapshot(a_model(), aliases=(Alias("app", "one", (), 0, 0),))).id == "one"


def test_a_name_that_nobody_has_is_named_with_the_closest() -> None:
    with pytest.raises(InvalidRequest, match=r'No model named "onee"\. Did you mean "one"\?') as refused:
        model_named("onee", a_snapshot(a_model()))
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    with pytest.raises(InvalidRequest, match="headrace models --all"):
        model_named("zzzzz", a_snapshot(a_model()))
