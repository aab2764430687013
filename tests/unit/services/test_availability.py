from dataclasses import replace

import pytest

from headrace.domain.catalog import LocalRunning, Model, ModelKind, Provider, WeightsFile
from headrace.domain.credential import Credential
from headrace.domain.price import PriceVersion
from headrace.domain.secret import Secret
from headrace.domain.usage import TokenClass
from headrace.services.availability import Surroundings, list_model

WEIGHTS = WeightsFile("one.gguf", "0" * 64, 491_400_064, "Apache-2.0", ("https://example.com/one.gguf",))
PROVIDER = Provider(
    "acme", "Acme", "openai", "https://api.example.com/v1", "bearer", "authorization", "", "", "ACME_API_KEY"
)
PRICE = PriceVersion("acme/one@2026-11-01#0", "acme", "one", "2026-11-01", "", dict.fromkeys(TokenClass, 1))
MODEL = Model("one", "acme", "one", "One", "acme", ModelKind.CHAT, frozenset(), 4096, 1024, 1024, "", (PRICE,), "", "")
LIVE = replace(PROVIDER, credentials=(Credential("default", Secret("sk")),))
NO_KEY_NEEDED = replace(PROVIDER, auth="none")
LOCAL = replace(MODEL, local=LocalRunning("llamacpp", (WEIGHTS,), 1))
FOLDER = replace(MODEL, prices=(), local=LocalRunning("any", (), 1, source="/models/one"))


def around(today: str = "2026-11-24", weights: bool = True, unreadable: str = "") -> Surroundings:
    names = frozenset({unreadable} - {""})
    return Surroundings(today, lambda _: weights, "/srv/headrace/catalog", names)


@pytest.mark.parametrize("provider", [LIVE, NO_KEY_NEEDED])
def test_a_priced_model_of_a_live_provider_is_available(provider: Provider) -> None:
    listed = list_model(MODEL, provider, around())
    assert listed.availability.available
    assert listed.availability.code == "available"
    assert listed.price is PRICE


@pytest.mark.parametrize(
    ("model", "provider", "surroundings", "code", "reason", "fix"),
    [
        (
            MODEL,
            PROVIDER,
            around(),
            "no_credential",
            'Its provider "acme" has no key.',
            "Run `headrace providers set-key acme`, or start with ACME_API_KEY set.",
        ),
        (
            FOLDER,
            NO_KEY_NEEDED,
            around(),
            "not_deployed",
            "It runs as a deployment only, on accelerators of yours.",
            "Run `headrace fit one`, then `headrace deploy one`.",
        ),
        (
            MODEL,
            replace(PROVIDER, key_variable=None),
            around(unreadable="acme"),
            "no_credential",
            'The stored key of its provider "acme" was sealed with another master key.',
            "Run `headrace providers set-key acme`.",
        ),
        (
            MODEL,
            LIVE,
            around("2026-10-31"),
            "no_price",
            "Its first price starts on 2026-11-01, and today is 2026-10-31.",
            "Add a dated price under [[models.prices]] in /srv/headrace/catalog/acme.toml.",
        ),
        (
            replace(MODEL, prices=()),
            PROVIDER,
            around(),
            "no_price",
            "It has no price, and what has no price is not called.",
            "Add a dated price under [[models.prices]] in /srv/headrace/catalog/acme.toml.",
        ),
        (
            LOCAL,
            NO_KEY_NEEDED,
            around(weights=False),
            "no_weights",
            "Its weights (491 MB) are not on this machine yet.",
            "Run `headrace models pull one`.",
        ),
        (
            replace(MODEL, retired_on="2026-11-24"),
            LIVE,
            around(),
            "retired",
            "It was retired on 2026-11-24.",
            "Call another model; `headrace models` lists those that can be called.",
        ),
    ],
)
def test_an_unavailable_model_says_why_and_what_to_do(
    model: Model, provider: Provider, surroundings: Surroundings, code: str, reason: str, fix: str
) -> None:
    found = list_model(model, provider, surroundings).availability
    assert (found.available, found.code, found.reason, found.fix) == (False, code, reason, fix)


def test_weights_here_and_a_later_retirement_keep_a_model_available() -> None:
    assert list_model(LOCAL, NO_KEY_NEEDED, around()).availability.available
    assert list_model(replace(MODEL, retired_on="2026-11-25"), LIVE, around()).availability.available
