"""The client of the cloud's control plane: pages, tokens, failures in our words; what to ask is not decided here."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx2
from msgspec.json import Decoder

from headrace import __version__
from headrace.domain.errors import DriverUnusable, EngineFailed, HeadraceError
from headrace.domain.json_value import JsonObject
from headrace.domain.secret import Secret
from headrace.drivers.compute.cloud.replies import (
    ACCELERATORS,
    INFERENCE,
    INFERENCES,
    TOKEN,
    TOKENS,
    AcceleratorsReply,
    CloudAccelerator,
    CloudInference,
    CloudToken,
    InferencesReply,
    TokensReply,
    accelerator_of,
    inference_of,
    read_refusal,
    read_reply,
    token_of,
)
from headrace.drivers.compute.token_file import read_token
from headrace.ports.ambient import Clock
from headrace.wire.json_strict import encode
from headrace.wire.openai_failure import retry_after_seconds

T = TypeVar("T")
Page = TypeVar("Page", InferencesReply, AcceleratorsReply, TokensReply)
PATH = "/v2/dedicated-inferences"
PER_PAGE = 100
MOST_PAGES = 100
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
# Who asks too much and is not told for how long is silent so long.
SLOW_DOWN_SECONDS = 10.0
SCOPES = "dedicated_inference and dedicated_inference_tokens"


@dataclass(frozen=True, slots=True)
class CloudAccess:
    """Where the cloud's control plane is, and the file that holds the token for it."""

    address: str | None = None
    token_file: Path | None = None

    @property
    def host(self) -> str:
        """Return the address without its scheme, for messages."""
        return (self.address or "").partition("://")[2].rstrip("/") or "the cloud"

    @property
    def scheme(self) -> str:
        """Return the scheme that addresses without one are meant to have."""
        return (self.address or "").partition("://")[0]

    @property
    def is_set(self) -> bool:
        """Whether the operator said where the cloud is and with which token it is asked."""
        return bool(self.address) and self.token_file is not None

    def check(self) -> None:
        """Raise DriverUnusable saying what to set where something is missing."""
        if not self.is_set:
            missing = "address" if not self.address else "token"
            raise DriverUnusable(
                f"The cloud driver has no {missing}. Set cloud_address and cloud_token_file in [drivers] of"
                f" headrace.toml: the cloud's control plane, and a file with a token of the scopes {SCOPES}."
            )
        if self.scheme != "https" and not (self.scheme == "http" and self.is_loopback):
            raise DriverUnusable(
                f'"{self.address}" is not https, so no token is sent to it. Correct cloud_address in [drivers] of'
                " headrace.toml."
            )

    @property
    def is_loopback(self) -> bool:
        """Whether the control plane is on this machine."""
        name = _host_of(self.address or "")
        try:
            return ip_address(name).is_loopback
        except ValueError:
            return name == "localhost"

    def token(self) -> Secret:
        """Return the token as the file has it now; raises DriverUnusable."""
        self.check()
        return read_token(self.token_file or Path(), "cloud_token_file")


class CloudClient:
    """Asks the cloud's control plane; raises DriverUnusable for what the operator can set, else EngineFailed.

    The cloud's limits are for the whole account: when it asks to slow down, nothing at all is asked for so long.
    """

    def __init__(self, access: CloudAccess, clock: Clock, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self.access = access
        self._clock = clock
        self._transport = transport
        self._http: httpx2.AsyncClient | None = None
        self._silent_until = -math.inf

    async def close(self) -> None:
        """Close its connections."""
        if self._http is not None:
            await self._http.aclose()

    async def find(self, name: str) -> CloudInference | None:
        """Return the dedicated inference of exactly this name, None when there is none."""
        async for each in self._inferences({"name": name}):
            if each.name == name:
                return each
        return None

    async def named(self, prefix: str) -> tuple[CloudInference, ...]:
        """Return every dedicated inference whose name begins so."""
        return tuple([each async for each in self._inferences({}) if each.name.startswith(prefix)])

    async def get(self, inference_id: str) -> CloudInference | None:
        """Return a dedicated inference, None when it is gone."""
        body = await self._ask("GET", _path(inference_id))
        return None if body is None else self._inference(body)

    async def accelerators(self, inference_id: str) -> tuple[CloudAccelerator, ...]:
        """Return the accelerators in use, none of a dedicated inference that is gone."""
        found: list[CloudAccelerator] = []
        async for body in self._pages(f"{_path(inference_id)}/accelerators", {}, ACCELERATORS):
            found += [accelerator_of(each) for each in body.accelerators or () if each.ended_at is None]
        return tuple(found)

    async def create(self, spec: JsonObject, model_token: Secret | None) -> tuple[CloudInference, CloudToken | None]:
        """Make a dedicated inference; returns it with its first token, whose value never comes again."""
        body: JsonObject = {"spec": spec}
        if model_token is not None:
            body["access_tokens"] = {"hugging_face_token": model_token.reveal()}
        reply = self._read(await self._must("POST", PATH, body), INFERENCE)
        return inference_of(reply.dedicated_inference), token_of(reply.token)

    async def change(self, inference_id: str, spec: JsonObject) -> CloudInference:
        """Have it rolled out as it is specified now."""
        return self._inference(await self._must("PATCH", _path(inference_id), {"spec": spec}))

    async def delete(self, inference_id: str) -> None:
        """Have it deleted; one that is gone is gone."""
        await self._ask("DELETE", _path(inference_id))

    async def tokens(self, inference_id: str) -> frozenset[str]:
        """Return the ids of the tokens that open its endpoint."""
        pages = self._pages(f"{_path(inference_id)}/tokens", {}, TOKENS)
        return frozenset([each.id or "" async for body in pages for each in body.tokens or ()])

    async def new_token(self, inference_id: str, name: str) -> CloudToken:
        """Make a token of that name and return it."""
        body = await self._must("POST", f"{_path(inference_id)}/tokens", {"name": name})
        token = token_of(self._read(body, TOKEN).token)
        if token is None:
            raise EngineFailed(f"{self.access.host} made a token for {inference_id} and did not say its value.")
        return token

    async def _inferences(self, query: Mapping[str, str]) -> AsyncIterator[CloudInference]:
        async for body in self._pages(PATH, query, INFERENCES):
            for each in body.dedicated_inferences or ():
                yield inference_of(each)

    async def _pages(self, path: str, query: Mapping[str, str], reply: Decoder[Page]) -> AsyncIterator[Page]:
        for page in range(1, MOST_PAGES + 1):
            body = await self._ask("GET", path, query={**query, "page": str(page), "per_page": str(PER_PAGE)})
            if body is None and path == PATH:
                # An address that is wrong would look like a cloud that has nothing of ours.
                raise self._nothing_at(path)
            if body is None:
                return
            read = self._read(body, reply)
            yield read
            if read.links is None or read.links.pages is None or not read.links.pages.next:
                return

    def _inference(self, body: bytes) -> CloudInference:
        return inference_of(self._read(body, INFERENCE).dedicated_inference)

    def _read(self, body: bytes, reply: Decoder[T]) -> T:
        return read_reply(body, reply, self.access.host)

    async def _must(self, method: str, path: str, body: JsonObject) -> bytes:
        found = await self._ask(method, path, body)
        if found is None:
            raise self._nothing_at(path)
        return found

    def _nothing_at(self, path: str) -> EngineFailed:
        return EngineFailed(f"{self.access.host} has nothing at {path}: it is gone, or the driver's address is wrong.")

    async def _ask(
        self, method: str, path: str, body: JsonObject | None = None, query: Mapping[str, str] | None = None
    ) -> bytes | None:
        """Return what was answered, None for 404."""
        silent = self._silent_until - self._clock.monotonic()
        if silent > 0:
            raise EngineFailed(f"{self.access.host} has asked to slow down.", retry_after_seconds=silent)
        token = await asyncio.to_thread(self.access.token)
        headers = {"authorization": f"Bearer {token.reveal()}", "accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        content = None if body is None else encode(body)
        http = await self._opened()
        try:
            response = await http.request(method, path, params=query, headers=headers, content=content)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise EngineFailed(
                f"{self.access.host} cannot be reached: {str(error) or type(error).__name__}.", detail=repr(error)
            ) from error
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if not response.is_success:
            raise self._refusal(response)
        return response.content

    def _refusal(self, response: httpx2.Response) -> HeadraceError:
        status = response.status_code
        said = read_refusal(response.content).rstrip(".")
        told = f'{status}: "{said}"' if said else str(status)
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return DriverUnusable(
                f"{self.access.host} refuses the token in {self.access.token_file} ({told}). Put a valid one with the"
                f" scopes {SCOPES} into it."
            )
        now = self._clock.unix_micros() / 1e6
        wait = retry_after_seconds(response.headers.get("retry-after"), now)
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            wait = SLOW_DOWN_SECONDS if wait is None else wait
            self._silent_until = self._clock.monotonic() + wait
        return EngineFailed(f"{self.access.host} answered {told}.", retry_after_seconds=wait)

    async def _opened(self) -> httpx2.AsyncClient:
        """Reading the trusted certificates takes a tenth of a second."""
        if self._http is None:
            self._http = await asyncio.to_thread(self._make)
        return self._http

    def _make(self) -> httpx2.AsyncClient:
        is_plain = self.access.scheme == "http"
        return httpx2.AsyncClient(
            base_url=self.access.address or "",
            transport=self._transport,
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_plain else True,
            timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            trust_env=not self.access.is_loopback,
            headers={"user-agent": f"headrace/{__version__}"},
        )


def _path(inference_id: str) -> str:
    return f"{PATH}/{quote(inference_id, safe='')}"


def _host_of(url: str) -> str:
    try:
        return httpx2.URL(url).host
    except httpx2.InvalidURL:
        return ""
