"""Models in the words of the older list."""

import pytest

from headrace.domain.catalog import AVAILABLE, Capability, Listed, ModelKind
from headrace.wire.usecases import USECASES, callable_model, usecases_of
from tests.fakes.nouns import a_model, a_price


@pytest.mark.parametrize(
    ("kind", "capabilities", "found"),
    [
        (ModelKind.CHAT, frozenset[Capability](), {"AGENT", "SERVERLESS"}),
        (ModelKind.CHAT, frozenset({Capability.REASONING}), {"AGENT", "REASONING", "SERVERLESS"}),
        (ModelKind.EMBEDDING, frozenset[Capability](), {"KNOWLEDGEBASE", "SERVERLESS"}),
        (ModelKind.IMAGE, frozenset[Capability](), {"SERVERLESS"}),
    ],
)
def test_what_a_model_is_good_for(kind: ModelKind, capabilities: frozenset[Capability], found: set[str]) -> None:
    names = usecases_of(a_model(kind=kind, capabilities=capabilities))
    assert names == {f"MODEL_USECASE_{each}" for each in found}
    assert names <= set(USECASES)


def test_a_model_that_can_be_called() -> None:
    shown = callable_model(Listed(a_model(), a_price(), AVAILABLE))
    assert (shown["id"], shown["name"], shown["provider"]) == ("one", "One", "MODEL_PROVIDER_ACME")
    assert (shown["context_window"], shown["created_at"]) == ("4096", "2026-01-02T00:00:00.000000Z")
