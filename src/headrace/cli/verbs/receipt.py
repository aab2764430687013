"""`headrace receipt`: the full account of one request."""

from __future__ import annotations

from headrace.cli.client import ApiClient, segment
from headrace.cli.receipt_text import receipt_text
from headrace.cli.verb_shapes import Told, asks_server


@asks_server
def receipt(client: ApiClient, request_id: str, /) -> Told:
    """Show a request's receipt: every attempt, and the cost to the nano-dollar.

    Parameters
    ----------
    request_id:
        The id in the reply's x-request-id header.
    """
    reply = client.get(f"/v2/requests/{segment(request_id)}", "either")
    return Told(reply, receipt_text(reply))
