"""Who reaches one deployment: its tokens, whose values are shown once, and the authority that its clients trust."""

from __future__ import annotations

import base64
from collections.abc import Callable

from headrace.domain.errors import NotFound
from headrace.http.control.dedicated_inferences import ONE, PATH, page_of
from headrace.http.routing import (
    NO_STORE,
    READ,
    TAGGED,
    Audience,
    Reply,
    Request,
    RouteSpec,
    json_reply,
    resource_reply,
)
from headrace.ports.ambient import Offload
from headrace.services.deployments import Deployments
from headrace.wire.dedicated_body import read_token_name
from headrace.wire.dedicated_json import token_object
from headrace.wire.openapi import Entry
from headrace.wire.openapi_dedicated import (
    DeploymentCa,
    DeploymentTokenBody,
    DeploymentTokenList,
    DeploymentTokenReply,
    TokenPageQuery,
)

TOKEN_FIELDS = frozenset({"name"})
LIST_ENTRY = Entry(
    "Lists its tokens, never their values", DeploymentTokenList, asks=TokenPageQuery, sends=TAGGED, reads=READ
)
CREATE_ENTRY = Entry(
    "Makes a token; its value is shown in this reply only",
    DeploymentTokenReply,
    DeploymentTokenBody,
    statuses=(202,),
    fails=(409,),
)
REVOKE_ENTRY = Entry("Revokes a token at once", statuses=(204,), media=())
CA_ENTRY = Entry("Shows the authority that its clients must trust", DeploymentCa, sends=TAGGED, reads=READ)


def routes(
    deployments: Deployments, authority: Callable[[], bytes | None], offload: Offload | None
) -> tuple[RouteSpec, ...]:
    """Return tokens and authority; `authority` reads it as PEM, None where this server has none of its own."""

    async def tokens(request: Request) -> Reply:
        deployment = deployments.find(request.part("id"))
        found = [token_object(each, deployment) for each in deployments.tokens.of(deployment)]
        return page_of(request).reply(f"{PATH}/{deployment.id}/tokens", "tokens", found)

    async def make(request: Request) -> Reply:
        name = read_token_name(await request.fields(TOKEN_FIELDS))
        deployment, minted = await deployments.add_token(request.part("id"), name)
        return json_reply({"token": token_object(minted.key, deployment, minted.text)}, 202)

    async def revoke(request: Request) -> Reply:
        deployment = deployments.find(request.part("id"))
        await deployments.tokens.revoke(deployment, request.part("token"))
        return Reply(204, NO_STORE, b"")

    async def ca(request: Request) -> Reply:
        deployments.find(request.part("id"))
        found = authority() if offload is None else await offload.run(authority)
        if found is None:
            raise NotFound(
                "This server has no authority of its own: it serves plain HTTP, or a certificate of the operator's."
                " `headrace serve --tls` makes one.",
                code="no_authority",
            )
        return resource_reply({"cert": base64.b64encode(found).decode()})

    return (
        RouteSpec("GET", f"{ONE}/tokens", tokens, Audience.ADMIN, LIST_ENTRY),
        RouteSpec("POST", f"{ONE}/tokens", make, Audience.ADMIN, CREATE_ENTRY),
        RouteSpec("DELETE", f"{ONE}/tokens/{{token}}", revoke, Audience.ADMIN, REVOKE_ENTRY),
        RouteSpec("GET", f"{ONE}/ca", ca, Audience.ADMIN, CA_ENTRY),
    )
