"""What `headrace serve` says when it is ready, while it drains and when it ends; pure text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from headrace.cli.replies import dollars
from headrace.domain.secret import Secret

INDENT = "  "


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the first lines of a running server depend on.

    `api_key` is set at the first start only, when it was made. `model` is one that can be called now, if any.
    `home` is the user's home folder, shown as `~`. `ca` is the authority to trust when the server speaks TLS.
    """

    base_url: str
    credentials: Path
    api_key: Secret | None = None
    model: str | None = None
    ca: Path | None = None
    home: Path | None = None


def welcome(ready: Welcome) -> str:
    """Return the ready text: with a request to paste at the first start, four lines later."""
    lines = [f"Headrace is ready.   {ready.base_url}   (API: /v1 and /v2)"]
    if ready.api_key is not None:
        lines += ["", *_first_request(ready, ready.api_key.reveal()), ""]
    lines.append(f"{INDENT}Key and admin token: {_short(ready.credentials, ready.home)} (only you can read it)")
    if ready.ca is not None:
        lines.append(f"{INDENT}Clients must trust: {_short(ready.ca, ready.home)}")
    if ready.model is None:
        lines.append(f"{INDENT}No model can be called yet: headrace models --all says what each one needs")
    lines.append(f"{INDENT}Next: {_next(ready.model)}")
    if ready.api_key is None:
        lines.append(f"{INDENT}Ctrl-C stops it; requests in flight are finished first")
    return "\n".join(lines) + "\n"


def draining(in_flight: int) -> str:
    """Return what is said when the server was told to stop."""
    if in_flight == 0:
        return "Stopping.\n"
    return f"{in_flight} request{'' if in_flight == 1 else 's'} in flight, finishing…\n"


def goodbye(requests: int, charge_nano: int) -> str:
    """Return the last line: what was served and what it came to."""
    if requests == 0:
        return "Goodbye. Nothing was served.\n"
    return f"Goodbye. {requests} request{'' if requests == 1 else 's'} served, {dollars(charge_nano)} spent.\n"


def _first_request(ready: Welcome, key: str) -> list[str]:
    model = ready.model if ready.model is not None else "MODEL"
    cacert = [f"{INDENT}  --cacert {_short(ready.ca, None)} \\"] if ready.ca is not None else []
    return [
        f"{INDENT}curl {ready.base_url}/v1/chat/completions \\",
        *cacert,
        f'{INDENT}  -H "Authorization: Bearer {key}" \\',
        f'{INDENT}  -H "Content-Type: application/json" \\',
        f'{INDENT}  -d \'{{"model":"{model}","messages":[{{"role":"user","content":"Hello!"}}]}}\'',
        "",
        f'{INDENT}Python   OpenAI(base_url="{ready.base_url}/v1",',
        f'{INDENT}                api_key="{key}")',
    ]


def _next(model: str | None) -> str:
    first = "headrace chat" if model is not None else "headrace models --all"
    return f"{first} · headrace models --all · headrace doctor" if model is not None else f"{first} · headrace doctor"


def _short(path: Path, home: Path | None) -> str:
    if home is not None and path.is_relative_to(home):
        return f"~/{path.relative_to(home)}"
    return str(path)
