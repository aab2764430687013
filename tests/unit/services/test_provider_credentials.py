"""Provider credentials below HTTP: what a failure leaves, and what is said where."""

from dataclasses import replace

import pytest

from headrace.domain.errors import Conflict, InvalidRequest, UpstreamAuthFailed, UpstreamRateLimited
from headrace.domain.health import CredentialHealth, CredentialState
from headrace.domain.secret import Secret
from headrace.services.provider_credentials import (
    MAX_CREDENTIAL_CHARS,
    MAX_CREDENTIALS,
    ProviderState,
    check_credential,
)
from tests.control_world import CLOUD, NOON_MICROS, World
from tests.fakes.nouns import a_model, a_target, targets_of


@pytest.mark.parametrize("text", ["x", "sk-proj-Ab_9~!", "x" * MAX_CREDENTIAL_CHARS])
def test_a_credential_that_fits_a_header_is_taken(text: str) -> None:
    check_credential(Secret(text))


@pytest.mark.parametrize("text", ["", "a b", "a\n", "a\r\nb: c", "a\x7f", "ä", "x" * (MAX_CREDENTIAL_CHARS + 1)])
def test_any_other_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_credential(Secret(text))
    assert str(len(text)) in caught.value.message
    assert len(text) < 2 or text not in caught.value.message


@pytest.mark.parametrize(
    ("catalog", "where"),
    [
        (CLOUD, "the variable ACME_API_KEY or the configuration file"),
        (CLOUD.replace('key_variable = "ACME_API_KEY"\n', ""), "comes from the configuration file"),
    ],
)
async def test_a_key_that_was_given_is_not_removed_here(catalog: str, where: str) -> None:
    world = World(given={"ACME_API_KEY": "sk-1", "": "sk-1"})
    world.files.texts["acme"] = catalog
    credentials = (await world.build()).credentials
    with pytest.raises(Conflict) as caught:
        await credentials.remove("acme")
    assert where in caught.value.message


async def test_a_stored_key_goes_before_a_given_one_until_it_is_removed() -> None:
    world = World(given={"ACME_API_KEY": "sk-given"})
    parts = await world.build()
    assert (await parts.credentials.set("acme", Secret("sk-stored"))).source == "stored"
    [found] = parts.door.snapshots.current().providers["acme"].credentials
    assert found.secret.reveal() == "sk-stored"
    assert (await parts.credentials.remove("acme")).source == "environment"


async def test_what_check_refuses_changes_nothing() -> None:
    world = World()
    credentials = (await world.build()).credentials

    def refuse(_: object) -> None:
        raise Conflict("changed meanwhile")

    with pytest.raises(Conflict):
        await credentials.set("acme", Secret("sk-1"), check=refuse)
    assert world.credentials.sealed == {}
    await credentials.set("acme", Secret("sk-1"))
    with pytest.raises(Conflict):
        await credentials.remove("acme", check=refuse)
    assert ("acme", "default") in world.credentials.sealed


async def test_credentials_stand_beside_one_another_and_are_replaced_and_removed_by_label() -> None:
    world = World(given={"ACME_API_KEY": "sk-given sk-other"})
    credentials = (await world.build()).credentials
    await credentials.set("acme", Secret("sk-spare"), "spare")
    await credentials.set("acme", Secret("sk-new"), "spare")
    state = await credentials.set("acme", Secret("sk-own"), "2")
    assert secrets_of(state) == {"default": "sk-given", "2": "sk-own", "spare": "sk-new"}
    assert state.source == "environment"
    assert secrets_of(await credentials.remove("acme", "spare")) == {"default": "sk-given", "2": "sk-own"}
    assert secrets_of(await credentials.remove("acme", "2")) == {"default": "sk-given", "2": "sk-other"}
    with pytest.raises(Conflict, match="comes from"):
        await credentials.remove("acme", "2")
    assert secrets_of(await credentials.remove("acme", "unknown")) == {"default": "sk-given", "2": "sk-other"}


async def test_the_same_secret_under_another_label_is_refused_without_being_shown() -> None:
    world = World(given={"ACME_API_KEY": "sk-canary"})
    credentials = (await world.build()).credentials
    with pytest.raises(Conflict) as caught:
        await credentials.set("acme", Secret("sk-canary"), "spare")
    assert caught.value.code == "credential_duplicate"
    assert 'under the label "default"' in caught.value.message
    assert "canary" not in caught.value.message
    assert world.credentials.sealed == {}
    await credentials.set("acme", Secret("sk-canary"))
    await credentials.set("acme", Secret("sk-canary"))
    assert list(world.credentials.sealed) == [("acme", "default")]


async def test_there_is_an_end_to_how_many_are_taken() -> None:
    credentials = (await World().build()).credentials
    for number in range(MAX_CREDENTIALS):
        await credentials.set("acme", Secret(f"sk-{number}"), f"k{number}")
    with pytest.raises(Conflict) as caught:
        await credentials.set("acme", Secret("sk-more"), "more")
    assert caught.value.code == "too_many_credentials"
    await credentials.set("acme", Secret("sk-more"), "k1")


@pytest.mark.parametrize("label", ["", "-x", "a b", "a/b", "ä", "x" * 65])
async def test_a_label_that_is_no_plain_word_is_refused(label: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await (await World().build()).credentials.set("acme", Secret("sk-1"), label)
    assert caught.value.param == "label"


async def test_what_is_known_of_a_credential_is_told_by_its_label() -> None:
    world = World(given={"ACME_API_KEY": "sk-1 sk-2 sk-3"})
    parts = await world.build()
    provider = parts.door.snapshots.current().providers["acme"]
    one, two, _ = targets_of(replace(a_target(a_model("large")), provider=provider), *provider.credentials)
    now = world.clock.monotonic()
    world.health.began(one, now).ended(UpstreamAuthFailed("no"), 401, now)
    world.health.began(two, now).ended(UpstreamRateLimited("slow", retry_after_seconds=30.0), 429, now)
    world.clock.advance(10.0)
    refused, limited, well = parts.credentials.reports("acme")
    assert (refused.credential.label, refused.health.state) == ("default", CredentialState.REFUSED)
    assert (refused.since_micros, refused.until_micros) == (NOON_MICROS, NOON_MICROS + 60_000_000)
    assert (limited.health.state, limited.health.models) == (CredentialState.RATE_LIMITED, ("large",))
    assert (limited.since_micros, limited.until_micros) == (None, NOON_MICROS + 30_000_000)
    assert (well.credential.label, well.health) == ("3", CredentialHealth())
    world.clock.advance(50.0)
    refused, limited, _ = parts.credentials.reports("acme")
    assert (refused.health.state, refused.until_micros) == (CredentialState.REFUSED, None)
    assert limited.health == CredentialHealth()
    later = world.clock.monotonic()
    world.health.began(one, later).answered()
    assert parts.credentials.reports("acme")[0].health == CredentialHealth()


def secrets_of(state: ProviderState) -> dict[str, str]:
    return {each.label: each.secret.reveal() for each in state.provider.credentials}
