"""Every failure of a cluster's dashboard, as what to install or set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from headrace.domain.errors import DriverUnusable, EngineFailed
from headrace.domain.plan import Endpoint
from headrace.domain.secret import Secret
from headrace.drivers.compute.ray.client import ServeApi
from tests.fakes.ray_answers import NOTHING

pytestmark = pytest.mark.anyio
ADDRESS = "http://192.0.2.1:8265"
ENDPOINT = Endpoint("http://192.0.2.2:8000/headrace-dep", "authorization", Secret("Bearer open sesame"))


def api(answer: Callable[[httpx2.Request], httpx2.Response], token_file: Path | None = None) -> ServeApi:
    return ServeApi(f"{ADDRESS}/", token_file, httpx2.MockTransport(answer))


def refusing(status: int, text: str = "") -> ServeApi:
    return api(lambda _: httpx2.Response(status, text=text))


def failing(error: Exception) -> ServeApi:
    def answer(_: httpx2.Request) -> httpx2.Response:
        raise error

    return api(answer)


async def test_calls_bring_the_token_and_the_configuration(tmp_path: Path) -> None:
    asked: list[httpx2.Request] = []
    token_file = tmp_path / "token"
    token_file.write_text("t0ken\n")

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200, json=NOTHING)

    client = api(answer, token_file)
    assert (await client.cluster()).applications == {}
    token_file.write_text("renewed")
    await client.put({"applications": []})
    assert await client.log("abc", "headrace/ray-a.log", 5) is not None
    await client.close()
    read, written, log = asked
    assert (read.method, str(read.url)) == ("GET", f"{ADDRESS}/api/serve/applications/")
    assert read.headers["authorization"] == "Bearer t0ken"
    assert written.headers["authorization"] == "Bearer renewed"
    assert (written.method, written.content) == ("PUT", b'{"applications":[]}')
    assert dict(log.url.params) == {"node_id": "abc", "filename": "headrace/ray-a.log", "lines": "5"}


@pytest.mark.parametrize(
    ("client", "fix"),
    [
        (failing(httpx2.ConnectError("refused")), r"cannot be reached \(refused\).*set ray_address"),
        (failing(httpx2.ReadTimeout("slow")), "did not answer in time.*ray_address"),
        (failing(httpx2.UnsupportedProtocol("no")), "ray_address is .* which is no address"),
        (refusing(401), "Set ray_token_file"),
        (refusing(403), "Set ray_token_file"),
        (refusing(404), "not Ray's dashboard"),
        (refusing(501, "Serve dependencies are not installed."), r'pip install "ray\[serve\]"'),
    ],
)
async def test_what_the_operator_can_mend_says_how(client: ServeApi, fix: str) -> None:
    with pytest.raises(DriverUnusable, match=fix):
        await client.cluster()
    await client.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot be read as a token \(No such file or directory\)"),
        (b"", "holds no token"),
        (b"s3cret\nwith-more", "holds no token"),
        ("s3cr\u00e9t".encode(), "holds no token"),
        (b"s3cret\xff", r"cannot be read as a token \(it is no text\)"),
    ],
)
async def test_a_token_file_without_a_token_is_named_and_not_shown(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DriverUnusable, match=message) as refused:
        await api(lambda _: httpx2.Response(200), file).cluster()
    assert "ray_token_file" in refused.value.message
    assert "s3c" not in refused.value.message


async def test_what_ray_refuses_is_said_in_its_words() -> None:
    with pytest.raises(EngineFailed, match="refused the configuration: max_replicas"):
        await refusing(400, "max_replicas").put({})
    with pytest.raises(EngineFailed, match="answered 503: GCS") as failure:
        await refusing(503, "GCS").put({})
    assert failure.value.retry_after_seconds == 5.0


async def test_a_file_that_is_not_there_is_none() -> None:
    assert await refusing(500, "no such file").log("abc", "headrace/ray-a.log", 5) is None


async def test_waking_is_an_answer_within_its_time() -> None:
    asked: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        return httpx2.Response(200)

    assert await api(answer).wake(ENDPOINT, 1.0)
    (request,) = asked
    assert str(request.url) == "http://192.0.2.2:8000/headrace-dep/-/wake"
    assert request.headers["authorization"] == "Bearer open sesame"
    assert await api(answer).wake(Endpoint("http://192.0.2.2:8000/open"), 1.0)
    assert not await refusing(404).wake(ENDPOINT, 1.0)
    assert not await failing(httpx2.ReadTimeout("slow")).wake(ENDPOINT, 1.0)
