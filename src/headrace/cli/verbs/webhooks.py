"""`headrace webhooks`: receivers of events, made, listed, deleted and tested."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import open_client, segment
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.replies import part, parts, text
from headrace.cli.session import Session, columns

PATH = "/v2/webhooks"
Running = Annotated[Session, Parameter(parse=False)]


def create(url: str, /, *, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Make a webhook and show the secret that its messages are signed with, once.

    Parameters
    ----------
    url:
        The https address that messages are posted to.
    """
    with open_client(session, flags) as client:
        reply = client.send("POST", PATH, "admin", {"url": url})
    if wants_json(flags.json, session.environment):
        session.say_json(reply)
        return 0
    webhook = part(reply, "webhook")
    session.say(text(webhook, "secret"))
    session.note(f"Webhook {text(webhook, 'id')}. The secret is shown only now: give it to the receiver.")
    session.note(f"  To try it: headrace webhooks test {text(webhook, 'id')}")
    return 0


def list_webhooks(*, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """List the webhooks; their secrets are not shown."""
    with open_client(session, flags) as client:
        reply = client.get(PATH, "admin")
    rows = [("ID", "CREATED", "URL")]
    rows += [(text(each, "id"), text(each, "created_at")[:10], text(each, "url")) for each in parts(reply, "webhooks")]
    line = columns(rows) if len(rows) > 1 else "There is no webhook. Make one: headrace webhooks create URL"
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def delete(webhook_id: str, /, *, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Delete a webhook that no alert names; what was still to be sent is given up.

    Parameters
    ----------
    webhook_id:
        The ID that `headrace webhooks list` shows.
    """
    with open_client(session, flags) as client:
        reply = client.send("DELETE", f"{PATH}/{segment(webhook_id)}", "admin")
    line = f"The webhook {text(part(reply, 'webhook'), 'id', webhook_id)} is deleted."
    return session.tell(reply, line, as_json=wants_json(flags.json, session.environment))


def test(webhook_id: str, /, *, flags: ClientFlags = NO_FLAGS, session: Running) -> int:
    """Send a signed message now, once; exit status 1 when the receiver did not take it.

    Parameters
    ----------
    webhook_id:
        The ID that `headrace webhooks list` shows.
    """
    with open_client(session, flags) as client:
        reply = client.send("POST", f"{PATH}/{segment(webhook_id)}/test", "admin")
    told = part(reply, "test")
    is_taken = told.get("delivered") is True
    line = (
        f"It was taken with status {text(told, 'status')}." if is_taken else f"It was not taken. {text(told, 'error')}"
    )
    session.tell(reply, line, as_json=wants_json(flags.json, session.environment))
    return 0 if is_taken else 1
