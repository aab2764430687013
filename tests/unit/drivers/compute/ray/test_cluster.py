"""What Ray's dashboard says, read."""

from __future__ import annotations

import pytest

from headrace.domain.errors import EngineFailed
from headrace.drivers.compute.ray.cluster import read_cluster
from tests.fakes.ray_answers import HEAD, NOTHING, OTHER, a_replica, an_answer, an_application, as_body


def test_a_cluster_without_serve_is_empty() -> None:
    cluster = read_cluster(as_body(NOTHING))
    assert (cluster.applications, cluster.addresses(), cluster.options) == ({}, {}, {})


def test_replicas_are_read_with_their_nodes() -> None:
    answer = an_answer(an_application("one", {"name": "one"}, a_replica("a"), a_replica("b", "STARTING", None)))
    application = read_cluster(as_body(answer)).applications["one"]
    assert [(each.replica_id, each.state, each.node_id) for each in application.replicas] == [
        ("a", "RUNNING", HEAD),
        ("b", "STARTING", None),
    ]
    assert (application.target, application.reason, application.config) == (2, "", {"name": "one"})


def test_proxies_are_addresses_by_node_while_they_are_healthy() -> None:
    answer = an_answer()
    proxies, options = answer["proxies"], answer["http_options"]
    assert isinstance(proxies, dict)
    assert isinstance(options, dict)
    other = proxies[OTHER]
    assert isinstance(other, dict)
    options["root_path"] = "/serve/"
    assert read_cluster(as_body(answer)).addresses() == {
        HEAD: "http://192.0.2.2:28000/serve",
        OTHER: "http://192.0.2.3:28000/serve",
    }
    other["status"] = "DRAINING"
    assert list(read_cluster(as_body(answer)).addresses()) == [HEAD]
    other.update(status="HEALTHY", node_ip="2001:db8::1")
    assert read_cluster(as_body(answer)).addresses()[OTHER] == "http://[2001:db8::1]:28000/serve"


def test_what_the_cluster_complains_of_is_one_line() -> None:
    answer = an_application(
        "one", {}, status="DEPLOY_FAILED", message="The deployment failed.\n\n  No module named x\n"
    )
    application = read_cluster(as_body(an_answer(answer))).applications["one"]
    assert application.reason == "The deployment failed. No module named x"


TRACEBACK = """The deployment failed to start 3 times in a row. See controller logs for details. Error:
\x1b[36mray::ServeReplica:headrace-dep-one:replica.initialize_and_get_metadata()\x1b[39m (pid=22348, ip=192.0.2.2)
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 456, in result
    return self.__get_result()
           ^^^^^^^^^^^^^^^^^^^
RuntimeError: Traceback (most recent call last):
  File "/srv/headrace/app/ray_node.py", line 157, in _one
    raise EngineFailed(
"""


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (
            "headrace.domain.errors.EngineFailed: The weights /m.gguf are not on this node.",
            "The weights /m.gguf are not on this node.",
        ),
        (
            "ModuleNotFoundError: No module named 'headrace'",
            "The deployment failed to start 3 times in a row. See controller logs for details. Error:"
            " ModuleNotFoundError: No module named 'headrace'",
        ),
    ],
)
def test_of_a_traceback_what_was_raised_is_told(raised: str, reason: str) -> None:
    answer = an_application("one", {}, a_replica("a"), status="DEPLOY_FAILED")
    deployments = answer["deployments"]
    assert isinstance(deployments, dict)
    replica = deployments["replica"]
    assert isinstance(replica, dict)
    replica["message"] = TRACEBACK + raised
    assert read_cluster(as_body(an_answer(answer))).applications["one"].reason == reason


def test_something_else_is_refused() -> None:
    for body in (b"<html>", b'{"http_options":{"port":"none"}}'):
        with pytest.raises(EngineFailed, match="something else than Serve's applications"):
            read_cluster(body)
