"""Small HTTP calls on the loopback that are not measured: readiness, counters, metrics."""

import http.client
import time
from collections.abc import Callable

import msgspec

from benchmarks.figures import BenchError, UpstreamStats

CALL_SECONDS = 10.0


def fetch(port: int, path: str, authorization: str = "", body: bytes | None = None) -> tuple[int, bytes]:
    """Send one request, a POST if there is a body, and return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=CALL_SECONDS)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    if authorization:
        headers["Authorization"] = authorization
    try:
        connection.request("GET" if body is None else "POST", path, body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def wait_for_reply(port: int, authorization: str, body: bytes, check_alive: Callable[[], None]) -> None:
    """Return when a chat completion succeeds; a server that is not up yet is asked again.

    Raises: `BenchError` when it takes longer than two minutes, or the server died.
    """
    deadline = time.monotonic() + 120
    problem = "nothing answered"
    while time.monotonic() < deadline:
        check_alive()
        try:
            status, reply = fetch(port, "/v1/chat/completions", authorization, body)
        except (OSError, http.client.HTTPException) as error:
            problem = str(error)
        else:
            if status == http.HTTPStatus.OK:
                return
            problem = f"status {status}: {reply[:400].decode(errors='replace')}"
        time.sleep(0.2)
    raise BenchError(f"no good reply on port {port} within 120 s; the last try: {problem}")


def upstream_stats(port: int) -> UpstreamStats:
    """Return the counters of the bench upstream."""
    _, body = fetch(port, "/stats")
    return msgspec.json.decode(body, type=UpstreamStats)


def metric_samples(text: str, name: str) -> list[tuple[str, float]]:
    """Return the labels (as written) and values of one metric in Prometheus text."""
    samples: list[tuple[str, float]] = []
    for line in text.splitlines():
        if line.startswith("#") or not line.startswith(name):
            continue
        head, _, value = line.rpartition(" ")
        labels = head[len(name) :]
        if labels == "" or labels.startswith("{"):
            samples.append((labels, float(value)))
    return samples
