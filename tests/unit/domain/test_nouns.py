"""What the nouns of the domain answer about themselves."""

import pickle
from dataclasses import FrozenInstanceError, replace

import pytest

from headrace.domain.access import AccessKey, Caller, Role
from headrace.domain.price import Line
from headrace.domain.receipt import AttemptRecord, Receipt
from headrace.domain.secret import Secret
from tests.fakes.nouns import CALLER, LOCAL, PROVIDER, WEIGHTS, a_credential, a_model, a_price, a_target, targets_of

ATTEMPT = AttemptRecord(
    attempt_id="att_1",
    turn_index=0,
    attempt_index=0,
    state="settled",
    model_id="one",
    provider="acme",
    deployment=None,
    identity="upstream-one",
    price_version="p",
    price_source="x",
    rates_pico={},
    bound_nano=10,
    usage=None,
    lines=(Line("input_fresh", 1, 1, 2, 3), Line("output_text", 1, 1, 4, 5)),
    ending="complete",
    error_code=None,
    upstream_status=200,
    upstream_request_id=None,
    possible_spend=False,
    delivered_bytes=0,
    held_at_micros=0,
    first_event_at_micros=None,
    ended_at_micros=None,
    scopes=(),
    parent_attempt_id=None,
)


def test_a_caller_may_call_what_the_key_allows() -> None:
    assert CALLER.may_call("anything")
    scoped = replace(CALLER, models=frozenset({"one"}))
    assert scoped.may_call("one")
    assert not scoped.may_call("two")
    assert not replace(CALLER, models=frozenset()).may_call("one")


def test_only_the_admin_role_is_admin() -> None:
    assert not CALLER.is_admin
    assert replace(CALLER, role=Role.ADMIN).is_admin


@pytest.mark.parametrize("noun", [Caller, AccessKey])
def test_an_identity_has_no_default(noun: type[Caller] | type[AccessKey]) -> None:
    with pytest.raises(TypeError):
        noun()  # pyright: ignore[reportCallIssue] - the missing arguments are what is tested


def test_nouns_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        CALLER.role = Role.ADMIN  # pyright: ignore[reportAttributeAccessIssue] - that it cannot be set is tested


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret("sk-canary")
    shown = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!s:>20}",
        repr([secret]),
        repr(targets_of(a_target(), a_credential("sk-canary"))),
    ]
    assert all("canary" not in text for text in shown)
    assert secret.reveal() == "sk-canary"
    assert secret != Secret("sk-canary")
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(secret)


def test_secrets_are_compared_without_being_shown() -> None:
    assert Secret("sk-1").is_same_as(Secret("sk-1"))
    assert not Secret("sk-1").is_same_as(Secret("sk-2"))


def test_a_target_knows_its_adapter_and_what_exactly_serves() -> None:
    remote, local = a_target(), a_target(a_model(local=replace(LOCAL, engine="llamacpp")))
    assert (remote.adapter, remote.identity) == ("openai", "upstream-one")
    assert (local.adapter, local.identity) == ("llamacpp", f"sha256:{WEIGHTS.sha256}")


def test_a_provider_with_authentication_needs_a_credential() -> None:
    assert not PROVIDER.needs_credential
    assert replace(PROVIDER, auth="bearer").needs_credential


@pytest.mark.parametrize(
    ("day", "effective"),
    [("2026-10-31", None), ("2026-11-01", "2026-11-01"), ("2026-11-24", "2026-11-20"), ("2027-01-01", "2026-12-01")],
)
def test_the_price_in_force_is_the_latest_that_has_begun(day: str, effective: str | None) -> None:
    days = ("2026-11-01", "2026-11-20", "2026-12-01")
    model = replace(a_model(), prices=tuple(replace(a_price(), effective=each) for each in days))
    price = model.price_on(day)
    assert (None if price is None else price.effective) == effective


def test_a_receipt_adds_up_and_names_who_served() -> None:
    assert (ATTEMPT.cost_nano, ATTEMPT.charge_nano) == (6, 8)
    failed = replace(ATTEMPT, state="voided", model_id="zero")
    receipt = Receipt("req_1", "chat", "shop", "k", "web", "app", False, None, 200, 0, (failed, ATTEMPT))
    assert receipt.served_by == "one"
    assert replace(receipt, attempts=(failed,)).served_by is None
