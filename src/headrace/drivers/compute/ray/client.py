"""Ray's dashboard and Serve's proxies over HTTP: the calls that the driver makes, every failure named once."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from headrace.domain.errors import DriverUnusable, EngineFailed
from headrace.domain.json_value import JsonObject
from headrace.domain.plan import Endpoint
from headrace.drivers.compute.ray.cluster import Cluster, read_cluster
from headrace.drivers.compute.ray.order import WAKE_PATH
from headrace.drivers.compute.token_file import read_token
from headrace.wire.json_strict import encode

APPLICATIONS = "/api/serve/applications/"
CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
# A log comes by way of its node's agent, which may be gone with the node.
LOG_SECONDS = 5.0
REFUSED_CHARS = 600
OK, BAD_REQUEST, NOT_FOUND, NOT_IMPLEMENTED = 200, 400, 404, 501
TOKEN_REFUSED = (401, 403)


class ServeApi:
    """One cluster: `address` is that of the head's dashboard, `token_file` is needed where Ray asks for a token."""

    def __init__(
        self, address: str, token_file: Path | None = None, transport: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self._address = address.rstrip("/")
        self._token_file = token_file
        # Neither certificates nor proxies are read for addresses of an own network in plain HTTP.
        verify: ssl.SSLContext | bool = self._address.startswith("https:")
        self._http = httpx2.AsyncClient(transport=transport, trust_env=False, verify=verify)

    async def cluster(self) -> Cluster:
        """Return what Serve runs; raises DriverUnusable, EngineFailed."""
        return read_cluster((await self._call("GET", APPLICATIONS)).content)

    async def put(self, config: JsonObject) -> None:
        """Make this the configuration of all applications; raises DriverUnusable, EngineFailed with Ray's words."""
        await self._call("PUT", APPLICATIONS, body=config)

    async def log(self, node: str, file: str, lines: int) -> bytes | None:
        """Return the end of a file in the Ray logs of a node, None where it is not there; raises DriverUnusable."""
        query = {"node_id": node, "filename": file, "lines": str(lines)}
        try:
            return (await self._call("GET", "/api/v0/logs/file", query=query, read_seconds=LOG_SECONDS)).content
        except EngineFailed:
            return None

    async def wake(self, endpoint: Endpoint, seconds: float) -> bool:
        """Ask an application for a sign of life and wait for it so long; Serve starts a replica where there is none."""
        headers: dict[str, str] = {}
        if endpoint.auth_header is not None and endpoint.auth_value is not None:
            headers[endpoint.auth_header] = endpoint.auth_value.reveal()
        timeout = httpx2.Timeout(seconds, connect=CONNECT_SECONDS)
        try:
            reply = await self._http.get(endpoint.base_url + WAKE_PATH, headers=headers, timeout=timeout)
        except httpx2.HTTPError:
            return False
        return reply.status_code == OK

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: JsonObject | None = None,
        read_seconds: float = READ_SECONDS,
    ) -> httpx2.Response:
        headers = {"accept": "application/json"}
        if self._token_file is not None:
            token = await asyncio.to_thread(read_token, self._token_file, "ray_token_file")
            headers["authorization"] = f"Bearer {token.reveal()}"
        content = None
        if body is not None:
            headers["content-type"] = "application/json"
            content = encode(body)
        timeout = httpx2.Timeout(read_seconds, connect=CONNECT_SECONDS)
        async with self._failures():
            reply = await self._http.request(
                method, self._address + path, params=query, headers=headers, content=content, timeout=timeout
            )
        if reply.is_success:
            return reply
        raise self._refused(reply)

    @asynccontextmanager
    async def _failures(self) -> AsyncGenerator[None]:
        try:
            yield
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise DriverUnusable(
                f'ray_address is "{self._address}", which is no address. Set it to that of the head\'s dashboard, like'
                " http://10.0.0.1:8265."
            ) from error
        except httpx2.TimeoutException as error:
            raise DriverUnusable(
                f"Ray's dashboard at {self._address} did not answer in time. Look at the cluster's head, or set"
                " ray_address to another."
            ) from error
        except httpx2.HTTPError as error:
            raise DriverUnusable(
                f"Ray's dashboard at {self._address} cannot be reached ({error}). Start the cluster with ray start"
                " --head --dashboard-host ADDRESS, or set ray_address to where its dashboard listens."
            ) from error

    def _refused(self, reply: httpx2.Response) -> DriverUnusable | EngineFailed:
        status, words = reply.status_code, reply.text.strip()[:REFUSED_CHARS]
        if status in TOKEN_REFUSED:
            return DriverUnusable(
                f"Ray's dashboard at {self._address} refused the token ({status}). Set ray_token_file to a file that"
                " holds what `ray get-auth-token` prints; it is read anew for each call."
            )
        if status == NOT_IMPLEMENTED:
            return DriverUnusable(
                f'Ray Serve is not installed on the cluster\'s head. Run pip install "ray[serve]" there. ({words})'
            )
        if status == NOT_FOUND:
            return DriverUnusable(
                f"What listens at {self._address} is not Ray's dashboard (404). Set ray_address to the address that"
                " ray start --head prints."
            )
        if status == BAD_REQUEST:
            return EngineFailed(f"Ray Serve refused the configuration: {words}")
        return EngineFailed(f"Ray's dashboard answered {status}: {words}", retry_after_seconds=5.0)
