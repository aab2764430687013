"""The cloud driver: what it sends to the cloud and when, what it makes of replies, failures and restarts."""

from __future__ import annotations

import email.utils
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.domain.deployment import DeploymentSpec, ReplicaState
from headrace.domain.errors import DriverUnusable, EngineFailed, MeteringUnavailable
from headrace.drivers.compute.cloud.client import CloudAccess
from tests.fakes.dedicated_api import BASE, Inference
from tests.unit.drivers.compute.cloud.cloud_bench import DEPLOYMENT, NAME, POLICY, VPC, CloudBench, spec

pytestmark = pytest.mark.anyio


@pytest.fixture
def bench(tmp_path: Path) -> CloudBench:
    return CloudBench(tmp_path)


async def test_the_same_specification_is_sent_on_in_the_words_of_the_contract(bench: CloudBench) -> None:
    await bench.compute.apply(spec(workload_config='{"isl":1}', provider_model_id="m-1"))
    assert bench.api.bodies == []
    await bench.compute.scale(DEPLOYMENT, 2)
    assert bench.api.bodies == [
        {
            "spec": {
                "version": 1,
                "name": NAME,
                "region": "atl1",
                "vpc": {"uuid": VPC},
                "enable_public_endpoint": True,
                "model_deployments": [
                    {
                        "model_id": "",
                        "model_slug": "Qwen/Qwen2.5-14B-Instruct",
                        "model_provider": "hugging_face",
                        "provider_model_id": "m-1",
                        "workload_config": {"isl": 1},
                        "accelerators": [
                            {"accelerator_slug": "gpu-mi300x1-192gb", "scale": 2, "type": "prefill_decode"}
                        ],
                    }
                ],
            }
        }
    ]


async def test_replicas_lead_to_the_public_endpoint_with_its_token(bench: CloudBench) -> None:
    bench.api.endpoint_scheme = ""
    await bench.up(2)
    first, second = (each.id for each in bench.compute.ready(DEPLOYMENT))
    lease = bench.compute.lease(DEPLOYMENT, first)
    assert lease is not None
    inference = bench.api.only()
    assert lease.endpoint.base_url == f"{BASE}/endpoint/{inference.id}/v1"
    (token,) = inference.tokens.values()
    assert lease.endpoint.auth_value is not None
    assert (lease.endpoint.auth_header, lease.endpoint.auth_value.reveal()) == (
        "authorization",
        f"Bearer {token['value']}",
    )
    other = bench.compute.lease(DEPLOYMENT, second)
    twin = bench.compute.lease(DEPLOYMENT, first)
    assert other is not None
    assert twin is not None
    assert other.endpoint.base_url == lease.endpoint.base_url
    bench.clock.advance(3.0)
    assert (lease.share_micros(), twin.share_micros(), other.share_micros()) == (1_500_000, 1_500_000, 3_000_000)
    lease.release()
    bench.clock.advance(1.0)
    assert (lease.share_micros(), twin.share_micros()) == (1_500_000, 2_500_000)


async def test_no_token_is_sent_in_the_clear(bench: CloudBench) -> None:
    bench.api.endpoint_scheme = "http://"
    await bench.compute.apply(spec())
    await bench.compute.scale(DEPLOYMENT, 1)
    for _ in range(4):
        await bench.tick()
    assert list(bench.compute.ready(DEPLOYMENT)) == []
    with pytest.raises(EngineFailed, match="is not https, so no request and no token is sent to it"):
        await bench.compute.acquire(DEPLOYMENT, 60.0)


async def test_a_lost_reply_makes_no_second_one(bench: CloudBench) -> None:
    bench.api.loses_replies_of.add("POST")
    await bench.compute.apply(spec())
    with pytest.raises(EngineFailed, match=r"cannot be reached: the reply was lost\."):
        await bench.compute.scale(DEPLOYMENT, 1)
    for _ in range(5):
        await bench.tick()
    assert [path for method, path in bench.api.asked if method == "POST"] == [
        "/v2/dedicated-inferences",
        f"/v2/dedicated-inferences/{bench.api.only().id}/tokens",
    ]
    assert len(bench.compute.ready(DEPLOYMENT)) == 1


async def test_scaling_is_a_patch_of_the_whole_specification(bench: CloudBench) -> None:
    await bench.up(1)
    await bench.compute.scale(DEPLOYMENT, 3)
    (_, patched) = bench.api.bodies
    (model,) = patched["spec"]["model_deployments"]
    assert (model["model_id"], model["accelerators"][0]["scale"]) == ("model-001", 3)
    for _ in range(3):
        await bench.tick()
    assert len(bench.compute.ready(DEPLOYMENT)) == 3


async def test_what_is_as_wanted_asks_the_cloud_nothing(bench: CloudBench) -> None:
    await bench.up(1)
    asked = len(bench.api.asked)
    for _ in range(3):
        await bench.compute.apply(spec())
        await bench.compute.scale(DEPLOYMENT, 1)
        await bench.tick(1.0)
    assert len(bench.api.asked) == asked
    await bench.tick(15.0)
    assert [method for method, _ in bench.api.asked[asked:]] == ["GET", "GET"]


async def test_words_that_the_cloud_changes_are_sent_once(bench: CloudBench) -> None:
    await bench.up(1, asked_accelerator="gpu-mi300x1-192gb")
    inference = bench.api.only()
    assert inference.spec is not None
    shown = inference.spec["model_deployments"][0]
    inference.spec = {**inference.spec, "model_deployments": [{**shown, "model_slug": "qwen/qwen2.5"}]}
    for _ in range(4):
        await bench.tick(15.0)
    assert bench.api.count("PATCH") == 1


async def test_what_is_rolled_out_in_other_words_is_not_sent_again(bench: CloudBench) -> None:
    await bench.up(1)
    bench.api.shows_slug = "qwen/qwen2.5"
    for _ in range(2):
        await bench.compute.scale(DEPLOYMENT, 2)
        for _ in range(6):
            await bench.tick()
    assert bench.api.count("PATCH") == 1
    assert len(bench.compute.ready(DEPLOYMENT)) == 2


async def test_what_the_cloud_failed_at_is_asked_for_again_after_a_while(bench: CloudBench) -> None:
    bench.api.has_capacity = False
    await bench.compute.apply(spec())
    await bench.compute.scale(DEPLOYMENT, 1)
    for _ in range(40):
        await bench.tick(7.0)
    assert bench.api.count("PATCH") == 0
    bench.api.has_capacity = True
    bench.api.is_held = True
    for _ in range(5):
        await bench.tick(7.0)
    assert bench.api.count("PATCH") == 1
    bench.api.is_held = False
    for _ in range(3):
        await bench.tick(15.0)
    assert len(bench.compute.ready(DEPLOYMENT)) == 1


async def test_one_that_is_not_found_for_a_moment_is_not_made_twice(bench: CloudBench) -> None:
    await bench.up(1)
    (replica,) = bench.compute.ready(DEPLOYMENT)
    bench.api.refuse(404, "The resource you were accessing could not be found")
    await bench.tick(15.0)
    assert bench.api.count("POST") == 1
    assert [each.id for each in bench.compute.ready(DEPLOYMENT)] == [replica.id]


async def test_a_wrong_address_is_no_cloud_without_our_deployments(bench: CloudBench) -> None:
    await bench.up(1)
    for _ in range(2):
        bench.api.refuse(404, "no such page")
    with pytest.raises(EngineFailed, match="the driver's address is wrong"):
        await bench.compute.remove(DEPLOYMENT)
    assert bench.blobs.kept != {}
    assert bench.compute.observe() != []
    bench.api.refuse(404, "no such page")
    with pytest.raises(EngineFailed, match="the driver's address is wrong"):
        await bench.compute.end_unknown(())


async def test_none_wanted_deletes_it_after_its_last_request(bench: CloudBench) -> None:
    await bench.up(1)
    lease = await bench.compute.acquire(DEPLOYMENT, 1.0)
    await bench.compute.scale(DEPLOYMENT, 0)
    assert bench.api.count("DELETE") == 0
    assert list(bench.compute.ready(DEPLOYMENT)) == []
    assert [each.state for each in bench.compute.observe()] == [ReplicaState.STOPPING]
    lease.release()
    for _ in range(3):
        await bench.tick()
    assert bench.api.count("DELETE") == 1
    assert bench.api.inferences == {}
    assert bench.compute.observe() == []
    assert bench.seen[-1].ended_at_micros is not None
    with pytest.raises(EngineFailed, match=r'"prod-llm" has no replica at the cloud after 0.01 s'):
        await bench.compute.acquire(DEPLOYMENT, 0.01)
    standing = bench.compute.standing(DEPLOYMENT)
    assert standing is not None
    assert (standing.wanted, standing.starting) == (1, 1)


async def test_a_request_that_does_not_end_holds_it_up_only_so_long(bench: CloudBench) -> None:
    await bench.up(1)
    await bench.compute.acquire(DEPLOYMENT, 1.0)
    await bench.compute.scale(DEPLOYMENT, 0)
    await bench.tick(59.0)
    assert bench.api.count("DELETE") == 0
    await bench.tick(3.0)
    assert bench.api.count("DELETE") == 1


async def test_the_next_process_takes_over_and_deletes_nothing(bench: CloudBench) -> None:
    await bench.up(2)
    before = {each.id: each for each in bench.compute.observe()}
    bench.clock.advance(3600.0)
    compute = bench.again()
    assert compute.standing(DEPLOYMENT) is None
    await compute.apply(spec())
    standing = compute.standing(DEPLOYMENT)
    assert standing is not None
    assert (standing.wanted, standing.ready) == (2, 2)
    assert {each.id: each for each in compute.observe()} == before
    assert [method for method, _ in bench.api.asked if method not in ("GET", "POST")] == []
    assert bench.api.count("POST") == 1


async def test_a_lost_note_costs_a_new_token(bench: CloudBench) -> None:
    await bench.up(1)
    bench.blobs.kept.clear()
    compute = bench.again()
    await compute.apply(spec())
    lease = await compute.acquire(DEPLOYMENT, 1.0)
    assert lease.endpoint.auth_value is not None
    tokens = [f"Bearer {each['value']}" for each in bench.api.only().tokens.values()]
    assert tokens.index(lease.endpoint.auth_value.reveal()) == 1


async def test_a_note_that_cannot_be_kept_holds_up_what_would_be_made(bench: CloudBench) -> None:
    await bench.compute.apply(spec())
    bench.blobs.is_down = True
    with pytest.raises(MeteringUnavailable):
        await bench.compute.scale(DEPLOYMENT, 1)
    assert bench.api.inferences == {}


async def test_readiness_is_since_when_the_cloud_says(bench: CloudBench) -> None:
    await bench.up(1)
    (seen,) = bench.compute.observe()
    assert seen.ready_at_micros is not None
    assert seen.started_at_micros < seen.ready_at_micros <= bench.clock.unix_micros()


async def test_out_of_capacity_says_so_and_nobody_waits(bench: CloudBench) -> None:
    bench.api.has_capacity = False
    await bench.compute.apply(spec())
    await bench.compute.scale(DEPLOYMENT, 1)
    for _ in range(3):
        await bench.tick()
    (failed,) = bench.compute.observe()
    assert failed.state is ReplicaState.FAILED
    assert failed.ended_at_micros == failed.started_at_micros
    assert failed.reason == (
        'the cloud says "error": no gpu-mi300x1-192gb is free; it may be out of capacity in the region "atl1". '
        "The cloud is asked again in 2 s."
    )
    with pytest.raises(EngineFailed, match="no gpu-mi300x1-192gb is free"):
        await bench.compute.acquire(DEPLOYMENT, 60.0)


async def test_what_serves_goes_on_when_there_is_no_more_capacity(bench: CloudBench) -> None:
    await bench.up(1)
    bench.api.has_capacity = False
    await bench.compute.scale(DEPLOYMENT, 2)
    for _ in range(3):
        await bench.tick()
    assert len(bench.compute.ready(DEPLOYMENT)) == 1
    (await bench.compute.acquire(DEPLOYMENT, 1.0)).release()
    assert [each.state for each in bench.compute.observe()].count(ReplicaState.FAILED) == 1


async def test_failures_are_waited_out_longer_each_time(bench: CloudBench) -> None:
    await bench.compute.apply(spec())
    bench.api.refuse(503, "Try later")
    with pytest.raises(EngineFailed, match=r'api.cloud.example answered 503: "Try later"') as first:
        await bench.compute.scale(DEPLOYMENT, 1)
    assert first.value.retry_after_seconds is None
    asked = len(bench.api.asked)
    with pytest.raises(EngineFailed) as again:
        await bench.compute.apply(spec())
    assert again.value.retry_after_seconds == pytest.approx(4.0)
    await bench.tick(3.9)
    assert len(bench.api.asked) == asked
    bench.api.refuse(429, "Slow down", **{"retry-after": "40"})
    await bench.tick(0.2)
    await bench.tick(39.0)
    assert len(bench.api.asked) == asked + 1
    for _ in range(4):
        await bench.tick()
    assert len(bench.compute.ready(DEPLOYMENT)) == 1
    await bench.compute.apply(spec())


async def test_who_is_asked_to_slow_down_asks_nothing_at_all(bench: CloudBench) -> None:
    await bench.up(1)
    other = replace(spec(), id="dep-two")
    bench.api.refuse(429, "Slow down")
    await bench.tick(15.0)
    asked = len(bench.api.asked)
    with pytest.raises(EngineFailed, match="has asked to slow down") as refused:
        await bench.compute.apply(other)
    assert refused.value.retry_after_seconds == pytest.approx(10.0)
    assert len(bench.api.asked) == asked
    bench.clock.advance(10.0)
    await bench.tick(0.0)
    assert len(bench.api.asked) > asked


async def test_when_to_come_back_may_be_a_date_and_is_never_for_ever(bench: CloudBench) -> None:
    await bench.compute.apply(spec())
    in_a_minute = email.utils.formatdate(bench.clock.unix_micros() / 1e6 + 60, usegmt=True)
    bench.api.refuse(503, "Maintenance", **{"retry-after": in_a_minute})
    with pytest.raises(EngineFailed) as dated:
        await bench.compute.scale(DEPLOYMENT, 1)
    assert dated.value.retry_after_seconds == pytest.approx(60.0, abs=1.0)
    bench.api.refuse(503, "Maintenance", **{"retry-after": "9" * 400})
    with pytest.raises(EngineFailed) as endless:
        await bench.compute.scale(DEPLOYMENT, 2)
    assert endless.value.retry_after_seconds == 3600.0


async def test_the_first_look_is_not_repeated_before_its_time(bench: CloudBench) -> None:
    bench.api.refuse(503, "Maintenance", **{"retry-after": "120"})
    for _ in range(3):
        with pytest.raises(EngineFailed, match="Maintenance"):
            await bench.compute.apply(spec())
        await bench.tick(30.0)
    assert len(bench.api.asked) == 1
    await bench.tick(30.0)
    await bench.compute.apply(spec())
    assert len(bench.api.asked) == 2


async def test_what_takes_long_is_looked_at_more_seldom(bench: CloudBench) -> None:
    bench.api.is_held = True
    await bench.compute.apply(spec())
    await bench.compute.scale(DEPLOYMENT, 1)
    for _ in range(10):
        await bench.tick(2.0)
    looks = len(bench.api.asked) / 2
    assert looks >= 10
    for _ in range(30):
        await bench.tick(10.0)
    # From 100 s on every other of these looks is not due yet.
    assert len(bench.api.asked) / 2 - looks < 22
    bench.api.is_held = False
    for _ in range(3):
        await bench.tick(15.0)
    assert len(bench.compute.ready(DEPLOYMENT)) == 1


async def test_a_refused_token_names_its_file(bench: CloudBench) -> None:
    bench.token_file.write_text("wrong\n")
    with pytest.raises(DriverUnusable, match=r'refuses the token in .*token \(401: "Unable to authenticate you"\)'):
        await bench.compute.apply(spec())
    # A caller may still be answered by another model, and is not told of the operator's files.
    with pytest.raises(EngineFailed, match="The cloud cannot be asked now") as refused:
        await bench.compute.acquire(DEPLOYMENT, 60.0)
    assert str(bench.token_file) not in refused.value.message


@pytest.mark.parametrize(
    ("address", "file", "message"),
    [
        (None, None, r"no address\. Set cloud_address and cloud_token_file in \[drivers\]"),
        (BASE, None, "no token"),
        ("http://api.cloud.example", "token", "is not https"),
        ("nonsense", "token", "is not https"),
        ("http://[bad", "token", "is not https"),
        (BASE, "missing", r"cannot be read as a token .*Set cloud_token_file"),
        (BASE, "empty", "holds no token"),
    ],
)
async def test_what_is_not_set_is_named(
    bench: CloudBench, tmp_path: Path, address: str | None, file: str | None, message: str
) -> None:
    (tmp_path / "empty").write_text("\n")
    compute = bench.again(CloudAccess(address, tmp_path / file if file else None))
    with pytest.raises(DriverUnusable, match=message):
        await compute.apply(spec())


async def test_loopback_needs_no_tls() -> None:
    CloudAccess("http://127.0.0.1:8080", Path("token")).check()
    CloudAccess("http://localhost:8080", Path("token")).check()


async def test_without_address_and_token_there_is_nothing_to_remove(bench: CloudBench) -> None:
    compute = bench.again(CloudAccess())
    with pytest.raises(DriverUnusable):
        await compute.apply(spec())
    await compute.remove(DEPLOYMENT)
    await compute.end_unknown(())
    assert bench.api.asked == []


async def test_what_was_made_is_not_forgotten_without_a_token(bench: CloudBench) -> None:
    await bench.up(1)
    bench.token_file.unlink()
    with pytest.raises(DriverUnusable):
        await bench.compute.remove(DEPLOYMENT)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (spec(enable_public_endpoint=False), "Set enable_public_endpoint to true"),
        (replace(spec(), source="/models/mine"), "is a folder of this machine"),
        (replace(spec(), wanted=None), "is a model of this machine"),
    ],
)
async def test_what_the_contract_has_no_words_for_is_refused(
    bench: CloudBench, changed: DeploymentSpec, message: str
) -> None:
    with pytest.raises(EngineFailed, match=message):
        await bench.compute.apply(changed)
    assert bench.api.asked == []


async def test_a_region_cannot_change(bench: CloudBench) -> None:
    await bench.up(1)
    with pytest.raises(EngineFailed, match='runs in the region "atl1" and cannot move to "nyc2"'):
        await bench.compute.apply(spec(region="nyc2"))
    assert len(bench.compute.ready(DEPLOYMENT)) == 1


async def test_what_the_cloud_refuses_is_said_in_its_words(bench: CloudBench) -> None:
    await bench.compute.apply(spec(vpc_uuid=""))
    with pytest.raises(EngineFailed, match=r'answered 422: "vpc is required"'):
        await bench.compute.scale(DEPLOYMENT, 1)


async def test_only_what_carries_our_name_is_ended(bench: CloudBench) -> None:
    bench.api.per_page_most = 2
    for number, name in enumerate(
        ("theirs", "headrace-home2-dep-two", "headrace-home1-dep-two", "headrace-home1-dep-one", "headrace")
    ):
        bench.api.inferences[str(number)] = Inference(str(number), name, None, None, "active")
    await bench.compute.end_unknown({"dep-one"})
    assert [path for method, path in bench.api.asked if method == "DELETE"] == ["/v2/dedicated-inferences/2"]
    assert bench.api.count("GET") == 3


async def test_a_deployment_is_removed_also_when_nobody_applied_it(bench: CloudBench) -> None:
    await bench.up(1)
    await bench.again().remove(DEPLOYMENT)
    assert bench.api.only().status == "DELETING"
    assert bench.blobs.kept == {}


async def test_a_removal_that_takes_long_is_said_and_goes_on(bench: CloudBench) -> None:
    compute = bench.again(policy=replace(POLICY, busy_seconds=0.001, remove_seconds=0.05))
    await bench.up(1)
    bench.api.is_held = True
    with pytest.raises(EngineFailed, match='"prod-llm" is still being deleted at the cloud'):
        await compute.remove(DEPLOYMENT)
    with pytest.raises(EngineFailed, match="is not known or is being removed"):
        await compute.acquire(DEPLOYMENT, 1.0)
    bench.api.is_held = False
    await compute.remove(DEPLOYMENT)
    assert bench.api.inferences == {}
    assert bench.blobs.kept == {}
    assert compute.observe() == []


async def test_a_silent_replica_is_left_out_for_a_while_where_there_are_others(bench: CloudBench) -> None:
    await bench.up(2)
    first, second = bench.compute.ready(DEPLOYMENT)
    bench.compute.report(DEPLOYMENT, first.id, is_well=False)
    assert [each.id for each in bench.compute.ready(DEPLOYMENT)] == [second.id]
    assert bench.compute.lease(DEPLOYMENT, first.id) is None
    bench.clock.advance(5.0)
    assert len(bench.compute.ready(DEPLOYMENT)) == 2


async def test_after_failing_again_the_cloud_is_asked_before_the_next_request(bench: CloudBench) -> None:
    await bench.up(1)
    (replica,) = bench.compute.ready(DEPLOYMENT)
    bench.compute.report(DEPLOYMENT, replica.id, is_well=False)
    assert len(bench.compute.ready(DEPLOYMENT)) == 1
    bench.compute.report(DEPLOYMENT, replica.id, is_well=False)
    assert list(bench.compute.ready(DEPLOYMENT)) == []
    asked = len(bench.api.asked)
    await bench.tick(2.0)
    assert len(bench.api.asked) > asked
    asked = len(bench.api.asked)
    for _ in range(3):
        bench.compute.report(DEPLOYMENT, replica.id, is_well=False)
        await bench.compute.tick()
    assert len(bench.api.asked) == asked
    await bench.tick(2.0)
    assert [each.id for each in bench.compute.ready(DEPLOYMENT)] == [replica.id]
    bench.compute.report(DEPLOYMENT, replica.id, is_well=True)
    assert [each.id for each in bench.compute.ready(DEPLOYMENT)] == [replica.id]


async def test_a_token_that_somebody_revoked_is_made_anew(bench: CloudBench) -> None:
    await bench.up(1)
    (replica,) = bench.compute.ready(DEPLOYMENT)
    bench.compute.report(DEPLOYMENT, replica.id, is_well=False)
    await bench.tick()
    assert bench.api.count("POST") == 1
    bench.api.only().tokens.clear()
    bench.clock.advance(5.0)
    bench.compute.report(DEPLOYMENT, replica.id, is_well=False)
    await bench.tick()
    (token,) = bench.api.only().tokens.values()
    bench.clock.advance(5.0)
    lease = await bench.compute.acquire(DEPLOYMENT, 1.0)
    assert lease.endpoint.auth_value is not None
    assert lease.endpoint.auth_value.reveal() == f"Bearer {token['value']}"
    await bench.tick()
    assert bench.api.count("POST") == 2


async def test_a_failing_cloud_is_not_asked_sooner_for_replicas_that_fail(bench: CloudBench) -> None:
    await bench.up(1)
    (replica,) = bench.compute.ready(DEPLOYMENT)
    bench.api.refuse(503, "Try later", **{"retry-after": "100"})
    await bench.tick(15.0)
    asked = len(bench.api.asked)
    for _ in range(2):
        bench.compute.report(DEPLOYMENT, replica.id, is_well=False)
    await bench.tick(99.0)
    assert len(bench.api.asked) == asked
    # What runs goes on to be used.
    assert len(bench.compute.ready(DEPLOYMENT)) == 1


async def test_an_accelerator_that_failed_says_so(bench: CloudBench) -> None:
    await bench.up(2)
    bench.api.only().accelerators[0].status = "error"
    await bench.tick(15.0)
    first, second = bench.compute.observe()
    assert (first.state, second.state) == (ReplicaState.FAILED, ReplicaState.READY)
    assert first.reason == 'The cloud says that the accelerator is "error".'


async def test_another_server_is_found_out(bench: CloudBench) -> None:
    bench.api.garble()
    with pytest.raises(EngineFailed, match="does not answer as the dedicated-inference contract says"):
        await bench.compute.apply(spec())
    bench.api.refuse(500, "")
    with pytest.raises(EngineFailed, match=r"api.cloud.example answered 500\."):
        await bench.compute.apply(spec(max_scale=3))
    assert await bench.compute.logs(DEPLOYMENT, None, 5) == {}


async def test_a_deployment_that_is_gone_at_the_cloud_is_made_again(bench: CloudBench) -> None:
    await bench.up(1)
    bench.api.inferences.clear()
    for _ in range(5):
        await bench.tick(15.0)
    assert bench.api.count("POST") == 2
    assert len(bench.compute.ready(DEPLOYMENT)) == 1
    (ended,) = {each.id for each in bench.seen if each.ended_at_micros is not None}
    assert ended != bench.compute.ready(DEPLOYMENT)[0].id


async def test_a_deployment_that_is_being_deleted_is_waited_for(bench: CloudBench) -> None:
    await bench.up(1)
    await bench.compute.scale(DEPLOYMENT, 0)
    await bench.compute.scale(DEPLOYMENT, 1)
    for _ in range(6):
        await bench.tick()
    assert [method for method, _ in bench.api.asked if method != "GET"] == ["POST", "DELETE", "POST"]
    assert len(bench.compute.ready(DEPLOYMENT)) == 1
