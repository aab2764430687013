"""`headrace receipt`: the full account of one request."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import open_client, segment
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.receipt_text import receipt_text
from headrace.cli.session import Session


def receipt(
    request_id: str,
    /,
    *,
    flags: ClientFlags = NO_FLAGS,
    session: Annotated[Session, Parameter(parse=False)],
) -> int:
    """Show who served a request, in which attempts, and what it cost to the nano-dollar.

    Parameters
    ----------
    request_id:
        The id that every reply carries as x-request-id.
    """
    with open_client(session, flags) as client:
        reply = client.get(f"/v2/requests/{segment(request_id)}", "either")
    if wants_json(flags.json, session.environment):
        session.say_json(reply)
    else:
        session.say(receipt_text(reply))
    return 0
