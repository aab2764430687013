"""Provider credentials below HTTP: what a failure leaves, and what is said where."""

import pytest

from headrace.domain.errors import Conflict, InvalidRequest
from headrace.domain.secret import Secret
from headrace.services.provider_credentials import MAX_CREDENTIAL_CHARS, check_credential
from tests.control_world import CLOUD, World


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
    found = parts.door.snapshots.current().providers["acme"].credential
    assert found is not None
    assert found.reveal() == "sk-stored"
    assert (await parts.credentials.remove("acme")).source == "environment"


async def test_what_check_refuses_changes_nothing() -> None:
    world = World()
    credentials = (await world.build()).credentials

    def refuse(_: object) -> None:
        raise Conflict("changed meanwhile")

    with pytest.raises(Conflict):
        await credentials.set("acme", Secret("sk-1"), refuse)
    assert world.credentials.sealed == {}
    await credentials.set("acme", Secret("sk-1"))
    with pytest.raises(Conflict):
        await credentials.remove("acme", refuse)
    assert "acme" in world.credentials.sealed
