"""Alerts and webhooks over the control plane: made, shown, changed, deleted, and bad ones changing nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.cli.config import AliasFile
from headrace.domain.alert import ActionResult, event_of
from headrace.domain.alert import Reading as Figure
from headrace.domain.errors import UpstreamTimeout
from headrace.domain.json_value import JsonObject
from headrace.domain.money import MAX_NANO
from headrace.domain.webhook import Delivery, DeliveryState
from headrace.http.control.app import control_app
from headrace.services.alerts import MOST_ALERTS
from headrace.services.webhooks import MOST_WEBHOOKS
from tests.control_world import NOON_MICROS, World, client_of

pytestmark = pytest.mark.anyio

ALERTS, WEBHOOKS = "/v2/alerts", "/v2/webhooks"
COST: JsonObject = {"name": "dear", "metric": "cost_per_hour", "scope": "platform", "threshold_usd": "2.5"}
RATE: JsonObject = {"name": "bad", "metric": "error_rate", "scope": "model:tiny", "threshold_percent": 20}


@dataclass(slots=True)
class Plane:
    world: World
    client: httpx2.AsyncClient

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.request(method, path, headers={**self.world.bearer("admin"), **named}, json=body)

    async def make(self, path: str, body: JsonObject) -> dict[str, Any]:
        reply = await self.call("POST", path, body)
        assert reply.status_code == 201, reply.text
        (made,) = reply.json().values()
        return dict[str, Any](made)


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    world = World(given={"ACME_API_KEY": "sk-1"})
    async with client_of(control_app(await world.build())) as client:
        yield Plane(world, client)


async def test_an_alert_is_made_shown_changed_and_deleted(plane: Plane) -> None:
    hook = await plane.make(WEBHOOKS, {"url": "https://a.example/x"})
    made = await plane.make(ALERTS, {**COST, "webhooks": [hook["id"]]})
    assert made == {
        "id": made["id"],
        "name": "dear",
        "metric": "cost_per_hour",
        "scope": "platform",
        "threshold_percent": None,
        "threshold_usd": "2.500000000",
        "threshold_nano_usd": 2_500_000_000,
        "window_seconds": None,
        "min_attempts": None,
        "webhooks": [hook["id"]],
        "action": None,
        "state": "armed",
        "created_at": "2026-11-24T12:00:00.000000Z",
        "changed_at": "2026-11-24T12:00:00.000000Z",
    }
    one = f"{ALERTS}/{made['id']}"
    assert (await plane.call("GET", one)).json() == {"alert": made}
    action: JsonObject = {"kind": "revoke_key", "key": plane.world.ids["key"]}
    changed = (await plane.call("PATCH", one, {"name": "dearer", "threshold_usd": "3", "action": action})).json()
    assert changed["alert"] == {
        **made,
        "name": "dearer",
        "threshold_usd": "3.000000000",
        "threshold_nano_usd": 3_000_000_000,
        "action": action,
    }
    without = (await plane.call("PATCH", one, {"action": None, "webhooks": []})).json()["alert"]
    assert (without["action"], without["webhooks"], without["name"]) == (None, [], "dearer")
    listed = (await plane.call("GET", ALERTS)).json()
    assert (listed["alerts"], listed["meta"]) == ([without], {"total": 1})
    assert (await plane.call("DELETE", one)).json() == {"alert": without}
    for method in ("GET", "DELETE"):
        assert (await plane.call(method, one)).json()["id"] == "alert_not_found"
    assert (await plane.call("PATCH", one, {"name": "x"})).status_code == 404


async def test_an_error_rate_has_a_window_and_a_least_number_of_attempts(plane: Plane) -> None:
    assert (await plane.make(ALERTS, RATE))["window_seconds"] == 300
    other = await plane.make(ALERTS, {**RATE, "scope": "provider:acme", "window_seconds": 60, "min_attempts": 5})
    assert (other["window_seconds"], other["min_attempts"], other["threshold_percent"]) == (60, 5, 20)


async def test_every_metric_takes_its_scopes(plane: Plane) -> None:
    budget = await plane.make("/v2/budgets", {"scope": "platform", "window": "day", "limit_usd": "1"})
    await plane.make("/v2/teams", {"name": "crew", "prepaid": True})
    key = plane.world.ids["key"]
    for metric, threshold, scopes in (
        ("budget_used", {"threshold_percent": 80}, [f"budget:{budget['id']}"]),
        ("balance_left", {"threshold_usd": "0"}, ["team:crew"]),
        ("error_rate", {"threshold_percent": 100}, ["platform", "model:acme/chat:large", "provider:here"]),
        ("cost_per_hour", {"threshold_usd": "1"}, ["platform", f"key:{key}", "team:default", "model:tiny"]),
    ):
        for scope in scopes:
            await plane.make(ALERTS, {"name": "n", "metric": metric, "scope": scope, **threshold})
    assert len(plane.world.alerting.alerts) == 9


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"name": None}, 400, '"name" is missing'),
        ({"name": " x"}, 400, "no space at either end"),
        ({"name": 5}, 400, "must be a string, not '5'"),
        ({"metric": None}, 400, '"metric" is missing'),
        ({"metric": "cpu"}, 400, "not 'cpu'"),
        ({"metric": ["error_rate"]}, 400, '"metric" must be one of "budget_used"'),
        ({"scope": None}, 400, '"scope" is missing'),
        ({"scope": "everything"}, 400, '"everything" is no scope of "error_rate"'),
        ({"scope": "platform:x"}, 400, '"platform:x" is no scope'),
        ({"scope": "budget:bud_1"}, 400, "write platform, model:…, provider:…"),
        ({"scope": "model:tinny"}, 404, 'no model "tinny". Did you mean "tiny"?'),
        ({"scope": "provider:acmee"}, 404, 'no provider "acmee". Did you mean "acme"?'),
        ({"threshold_percent": None}, 400, '"threshold_percent" (--percent) is missing'),
        ({"threshold_percent": 0}, 400, "from 1 to 100, not 0"),
        ({"threshold_percent": 101}, 400, "not 101"),
        ({"threshold_percent": -5}, 400, "not -5"),
        ({"threshold_percent": 10**30}, 400, "threshold_percent"),
        ({"threshold_percent": 20.5}, 400, "must be a whole number, not '20.5'"),
        ({"threshold_percent": True}, 400, "not 'True'"),
        ({"threshold_usd": "5"}, 400, 'give "threshold_percent" (--percent) in the place of "threshold_usd" (--usd)'),
        ({"window_seconds": 59}, 400, "from 60 to 3600, not 59"),
        ({"window_seconds": 86_400}, 400, "not 86400"),
        ({"min_attempts": 0}, 400, "from 1 to 1000000, not 0"),
        ({"webhooks": ["whk_nobody"]}, 404, '"whk_nobody"'),
        ({"webhooks": "whk_1"}, 400, "must be a list of ids"),
        ({"webhooks": [1]}, 400, "must be a list of ids"),
        ({"action": "revoke_key"}, 400, "not 'revoke_key'"),
        ({"action": {"kind": "run", "command": "rm"}}, 400, '"revoke_key", "repoint_alias"'),
        ({"action": {"kind": ["revoke_key"]}}, 400, '"kind" of'),
        ({"action": {"kind": "revoke_key"}}, 400, "has the fields kind, key"),
        ({"action": {"kind": "revoke_key", "key": 5}}, 400, "each a string"),
        ({"action": {"kind": "revoke_key", "key": "nobody"}}, 404, '"nobody"'),
        ({"action": {"kind": "repoint_alias", "alias": "nobody", "points_to": "tiny"}}, 404, 'alias named "nobody"'),
        ({"action": {"kind": "repoint_alias", "alias": "daily", "points_to": "tinny"}}, 400, 'Did you mean "tiny"?'),
        ({"action": {"kind": "repoint_alias", "alias": "daily"}}, 400, "kind, alias, points_to"),
        ({"enabled": True}, 400, '"enabled" is not known'),
    ],
)
async def test_a_bad_alert_is_refused_by_value_and_changes_nothing(
    plane: Plane, changes: JsonObject, status: int, said: str
) -> None:
    await plane.make("/v2/aliases", {"name": "daily", "points_to": "acme/chat:large"})
    body = {name: value for name, value in {**RATE, **changes}.items() if value is not None}
    reply = await plane.call("POST", ALERTS, body)
    assert reply.status_code == status, reply.text
    assert said in reply.json()["message"]
    assert plane.world.alerting.alerts == {}
    if "metric" not in changes and "scope" not in changes and None not in changes.values():
        made = await plane.make(ALERTS, RATE)
        before = dict(plane.world.alerting.alerts)
        assert (await plane.call("PATCH", f"{ALERTS}/{made['id']}", changes)).status_code == status
        assert plane.world.alerting.alerts == before


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("-1", 'not "-1"'),
        ("NaN", 'not "NaN"'),
        ("1e9", 'not "1e9"'),
        ("inf", 'not "inf"'),
        ("0.0000000001", "at most nine decimal places"),
        ("9999999999", "must be at most"),
        (str(MAX_NANO), "dollars as a string, like"),
        (5, "dollars as a string, like"),
        (0.5, "dollars as a string, like"),
        ("0", "must be more than 0"),
    ],
)
async def test_bad_money_is_refused_by_value(plane: Plane, value: object, said: str) -> None:
    reply = await plane.call("POST", ALERTS, {**COST, "threshold_usd": value})
    assert (reply.status_code, reply.json()["id"], plane.world.alerting.alerts) == (400, "invalid_request", {})
    assert said in reply.json()["message"]


async def test_not_a_number_is_refused_where_it_is_json(plane: Plane) -> None:
    headers = {**plane.world.bearer("admin"), "content-type": "application/json"}
    for value in (b"NaN", b"Infinity", b"-1e999"):
        body = json.dumps(RATE).encode().replace(b"20", value)
        assert (await plane.client.post(ALERTS, headers=headers, content=body)).status_code == 400
    assert plane.world.alerting.alerts == {}


async def test_keys_teams_and_budgets_that_there_are_not_are_refused(plane: Plane) -> None:
    await plane.make("/v2/teams", {"name": "later"})
    for body, status, said in (
        ({**COST, "scope": "key:nobody"}, 404, 'no key "nobody"'),
        ({**COST, "scope": f"key:{plane.world.ids['gone']}"}, 404, "no key"),
        ({**COST, "scope": "team:nobody"}, 404, 'no team "nobody"'),
        ({**RATE, "metric": "budget_used", "scope": "budget:bud_9"}, 404, 'no budget "bud_9"'),
        ({**COST, "metric": "balance_left", "scope": "team:later"}, 400, "does not pay in advance"),
        ({**COST, "window_seconds": 60}, 400, '"window_seconds" belongs to "error_rate"'),
        ({**COST, "action": {"kind": "revoke_key", "key": plane.world.ids["gone"]}}, 404, "No key that works"),
    ):
        reply = await plane.call("POST", ALERTS, body)
        assert reply.status_code == status, reply.text
        assert said in reply.json()["message"]
    assert plane.world.alerting.alerts == {}


async def test_another_threshold_arms_an_alert_again_and_another_name_does_not(plane: Plane) -> None:
    made = await plane.make(ALERTS, RATE)
    one, kept = f"{ALERTS}/{made['id']}", plane.world.alerting.alerts
    kept[made["id"]] = replace(kept[made["id"]], fired=(0,))
    assert (await plane.call("GET", one)).json()["alert"]["state"] == "fired"
    assert (await plane.call("PATCH", one, {"name": "other"})).json()["alert"]["state"] == "fired"
    assert (await plane.call("PATCH", one, {"threshold_percent": 30})).json()["alert"]["state"] == "armed"


async def test_events_are_shown_with_their_deliveries(plane: Plane) -> None:
    action: JsonObject = {"kind": "revoke_key", "key": plane.world.ids["key"]}
    made = await plane.make(ALERTS, {**COST, "action": action})
    kept = plane.world.alerting
    alert = kept.alerts[made["id"]].alert
    event = event_of(alert, Figure(3_000_000_000, 100, NOON_MICROS), "evt_1", NOON_MICROS)
    kept.events["evt_1"] = replace(event, result=ActionResult(True))
    kept.events["evt_2"] = replace(event, id="evt_2", alert_id="alr_other")
    told = Delivery("msg_1", "evt_1", "whk_1", NOON_MICROS, NOON_MICROS, DeliveryState.FAILED, 32, 500, "It said 500.")
    kept.deliveries["msg_1"] = told
    every = (await plane.call("GET", f"{ALERTS}/events")).json()["events"]
    assert [each["id"] for each in every] == ["evt_2", "evt_1"]
    assert [each["id"] for each in (await plane.call("GET", f"{ALERTS}/events?limit=1")).json()["events"]] == ["evt_2"]
    (mine,) = (await plane.call("GET", f"{ALERTS}/events?alert={made['id']}")).json()["events"]
    assert mine == {
        "id": "evt_1",
        "alert": {"id": made["id"], "name": "dear"},
        "metric": "cost_per_hour",
        "scope": "platform",
        "threshold_percent": None,
        "threshold_usd": "2.500000000",
        "threshold_nano_usd": 2_500_000_000,
        "value_percent": None,
        "value_usd": "3.000000000",
        "value_nano_usd": 3_000_000_000,
        "window_starts_at": "2026-11-24T12:00:00.000000Z",
        "at": "2026-11-24T12:00:00.000000Z",
        "action": action,
        "result": {"done": True, "code": None, "message": None},
        "deliveries": [
            {
                "id": "msg_1",
                "webhook": "whk_1",
                "state": "failed",
                "attempts": 32,
                "last_status": 500,
                "last_error": "It said 500.",
                "changed_at": "2026-11-24T12:00:00.000000Z",
            }
        ],
    }
    assert (await plane.call("GET", f"{ALERTS}/events?limit=0")).status_code == 400


async def test_a_secret_is_shown_once_and_sealed(plane: Plane) -> None:
    made = await plane.make(WEBHOOKS, {"url": "https://a.example/x"})
    secret, one = made.pop("secret"), f"{WEBHOOKS}/{made['id']}"
    assert (await plane.call("GET", one)).json() == {"webhook": made}
    moved = (await plane.call("PATCH", one, {"url": "https://b.example/y"})).json()["webhook"]
    assert moved == {**made, "url": "https://b.example/y"}
    assert (await plane.call("GET", WEBHOOKS)).json()["webhooks"] == [moved]
    stored = plane.world.alerting.webhooks[made["id"]].sealed
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    assert len(key) == 32
    assert key not in stored
    tested = (await plane.call("POST", f"{one}/test")).json()["test"]
    assert tested == {"delivered": True, "status": 204, "error": None}
    ((url, headers, body),) = plane.world.sender.posted
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert (url, headers["webhook-signature"]) == ("https://b.example/y", f"v1,{expected}")
    assert json.loads(body)["type"] == "webhook.test"
    assert (await plane.call("DELETE", one)).json() == {"webhook": moved}
    for method, path in (("GET", one), ("DELETE", one), ("POST", f"{one}/test")):
        assert (await plane.call(method, path)).json()["id"] == "webhook_not_found"


async def test_a_test_that_fails_says_why(plane: Plane) -> None:
    made = await plane.make(WEBHOOKS, {"url": "https://a.example/x"})
    plane.world.sender.answers = [302, UpstreamTimeout("The upstream did not answer in time.")]
    for told in (
        {"delivered": False, "status": 302, "error": "The receiver answered 302."},
        {"delivered": False, "status": None, "error": "The receiver did not answer in time."},
    ):
        assert (await plane.call("POST", f"{WEBHOOKS}/{made['id']}/test")).json() == {"test": told}


async def test_a_webhook_that_an_alert_names_stays(plane: Plane) -> None:
    hook = await plane.make(WEBHOOKS, {"url": "https://a.example/x"})
    made = await plane.make(ALERTS, {**COST, "webhooks": [hook["id"]]})
    reply = await plane.call("DELETE", f"{WEBHOOKS}/{hook['id']}")
    assert (reply.status_code, reply.json()["id"]) == (409, "webhook_in_use")
    assert '"dear"' in reply.json()["message"]
    await plane.call("DELETE", f"{ALERTS}/{made['id']}")
    assert (await plane.call("DELETE", f"{WEBHOOKS}/{hook['id']}")).status_code == 200


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://hooks.example.com/", "is not https"),
        ("http://127.0.0.1:9000/", "--webhook-host 127.0.0.1:9000"),
        ("https://user:secret@hooks.example.com/", "carries a user name or password"),
        ("file:///etc/passwd", "must be a URL like"),
        ("", "1 to 2048"),
        (5, '"url" is missing'),
        (None, '"url" is missing'),
    ],
)
async def test_a_bad_address_is_refused_and_nothing_changes(plane: Plane, url: object, said: str) -> None:
    made = await plane.make(WEBHOOKS, {"url": "https://a.example/x"})
    before = dict(plane.world.alerting.webhooks)
    for method, path in (("POST", WEBHOOKS), ("PATCH", f"{WEBHOOKS}/{made['id']}")):
        reply = await plane.call(method, path, {"url": url})
        assert (reply.status_code, plane.world.alerting.webhooks) == (400, before)
        assert said in reply.json()["message"]
        assert "secret@" not in reply.text


async def test_a_stale_if_match_changes_nothing(plane: Plane) -> None:
    hook = await plane.make(WEBHOOKS, {"url": "https://a.example/x"})
    alert = await plane.make(ALERTS, COST)
    kept = plane.world.alerting
    before = (dict(kept.alerts), dict(kept.webhooks))
    change: JsonObject = {"name": "other"}
    for one, body in ((f"{ALERTS}/{alert['id']}", change), (f"{WEBHOOKS}/{hook['id']}", {"url": "https://b.example/"})):
        tag = (await plane.call("GET", one)).headers["etag"]
        for method in ("PATCH", "DELETE"):
            reply = await plane.call(method, one, body if method == "PATCH" else None, if_match='"old"')
            assert (reply.status_code, reply.json()["id"]) == (409, "etag_mismatch")
        assert (kept.alerts, kept.webhooks) == before
        assert (await plane.call("GET", one, if_none_match=tag)).status_code == 304
        assert (await plane.call("PATCH", one, body, if_match=tag)).status_code == 200
        assert (await plane.call("DELETE", one)).status_code == 200
        before = (dict(kept.alerts), dict(kept.webhooks))


async def test_a_webhook_is_named_once(plane: Plane) -> None:
    hooks = [(await plane.make(WEBHOOKS, {"url": f"https://a.example/{n}"}))["id"] for n in range(11)]
    for named in (hooks[:1] * 2, hooks):
        reply = await plane.call("POST", ALERTS, {**COST, "webhooks": named})
        assert (reply.status_code, plane.world.alerting.alerts) == (400, {})
        assert "at most 10 ids, each once" in reply.json()["message"]
    assert len((await plane.make(ALERTS, {**COST, "webhooks": hooks[:10]}))["webhooks"]) == 10


async def test_there_is_an_end_to_alerts_and_webhooks(plane: Plane) -> None:
    address: JsonObject = {"url": "https://a.example/"}
    for path, body, most in ((ALERTS, COST, MOST_ALERTS), (WEBHOOKS, address, MOST_WEBHOOKS)):
        for _ in range(most):
            await plane.make(path, body)
        reply = await plane.call("POST", path, body)
        assert (reply.status_code, f"There are {most}" in reply.json()["message"]) == (400, True)


async def test_an_alias_of_the_file_cannot_be_pointed_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "headrace.toml"
    file.write_text('[aliases.daily]\npoints_to = "acme/chat:large"\n')
    world = World(given={"ACME_API_KEY": "sk-1"}, written_aliases=AliasFile(file))
    async with client_of(control_app(await world.build())) as client:
        action: JsonObject = {"kind": "repoint_alias", "alias": "daily", "points_to": "tiny"}
        reply = await Plane(world, client).call("POST", ALERTS, {**COST, "action": action})
    assert (reply.status_code, reply.json()["id"], world.alerting.alerts) == (409, "alias_in_file", {})


async def test_a_regenerated_key_takes_only_its_own_alerts_along(plane: Plane) -> None:
    key, foreign = plane.world.ids["key"], plane.world.ids["foreign"]
    action: JsonObject = {"kind": "revoke_key", "key": foreign}
    mine = await plane.make(ALERTS, {**COST, "scope": f"key:{key}", "action": action})
    other = await plane.make(ALERTS, COST)
    reply = await plane.call("PUT", f"/v2/gen-ai/models/api_keys/{key}/regenerate")
    new = reply.json()["api_key_info"]["uuid"]
    shown = (await plane.call("GET", f"{ALERTS}/{mine['id']}")).json()["alert"]
    assert (shown["scope"], shown["action"]) == (f"key:{new}", action)
    assert (await plane.call("GET", f"{ALERTS}/{other['id']}")).json()["alert"] == other
