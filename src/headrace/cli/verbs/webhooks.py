"""`headrace webhooks`: receivers of events, made, listed, deleted and tested."""

from __future__ import annotations

from headrace.cli.client import ApiClient, segment
from headrace.cli.replies import part, parts, text
from headrace.cli.session import listing
from headrace.cli.verb_shapes import Told, asks_server

PATH = "/v2/webhooks"


@asks_server
def create(client: ApiClient, url: str, /) -> Told:
    """Create a webhook and show its signing secret once.

    Parameters
    ----------
    url:
        The https address that messages are posted to.
    """
    reply = client.send("POST", PATH, "admin", {"url": url})
    webhook = part(reply, "webhook")
    notes = (
        f"Webhook {text(webhook, 'id')}. The secret is shown only now: give it to the receiver.",
        f"  To try it: headrace webhooks test {text(webhook, 'id')}",
    )
    return Told(reply, text(webhook, "secret"), notes)


@asks_server
def list_webhooks(client: ApiClient) -> Told:
    """List webhooks without their secrets."""
    reply = client.get(PATH, "admin")
    rows = ((text(each, "id"), text(each, "created_at")[:10], text(each, "url")) for each in parts(reply, "webhooks"))
    empty = "There is no webhook. Make one: headrace webhooks create URL"
    return Told(reply, listing(("ID", "CREATED", "URL"), rows, empty))


@asks_server
def delete(client: ApiClient, webhook_id: str, /) -> Told:
    """Delete a webhook that no alert uses. Undelivered messages are dropped.

    Parameters
    ----------
    webhook_id:
        The ID that `headrace webhooks list` shows.
    """
    reply = client.send("DELETE", f"{PATH}/{segment(webhook_id)}", "admin")
    return Told(reply, f"The webhook {text(part(reply, 'webhook'), 'id', webhook_id)} is deleted.")


@asks_server
def test(client: ApiClient, webhook_id: str, /) -> Told:
    """Send one signed test message. Exit status 1 if the receiver does not accept it.

    Parameters
    ----------
    webhook_id:
        The ID that `headrace webhooks list` shows.
    """
    reply = client.send("POST", f"{PATH}/{segment(webhook_id)}/test", "admin")
    told = part(reply, "test")
    is_taken = told.get("delivered") is True
    line = (
        f"It was taken with status {text(told, 'status')}." if is_taken else f"It was not taken. {text(told, 'error')}"
    )
    return Told(reply, line, status=0 if is_taken else 1)
