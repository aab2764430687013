"""`headrace chat`: a conversation in the terminal, streamed, with its price at the end of every reply."""

from __future__ import annotations

import contextlib
import importlib
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from headrace.cli.client import ApiClient, Events, event_object, open_client
from headrace.cli.failures import INTERRUPTED_STATUS, render_failure
from headrace.cli.options import NO_FLAGS, ClientFlags, wants_json
from headrace.cli.progress import Waiting
from headrace.cli.replies import dollars, number, part, parts, text
from headrace.cli.session import Session
from headrace.cli.verb_shapes import Running
from headrace.domain.errors import ConfigInvalid, HeadraceError, OperatorError
from headrace.domain.json_value import JsonObject, JsonValue

PATH = "/v1/chat/completions"
PROMPT = "> "
LEAVE = frozenset({"/exit", "/quit", "/bye"})
LONGEST_INPUT = 8 * 1024 * 1024


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ChatFlags:
    """What to say and how."""

    model: Annotated[str | None, Parameter(name=("--model", "-m"), help="The model, in the place of MODEL.")] = None
    prompt: Annotated[str | None, Parameter(help="Say this, print the reply and leave.")] = None
    system: Annotated[str | None, Parameter(help="Instructions that stand before the conversation.")] = None
    max_tokens: Annotated[int | None, Parameter(help="The most tokens that a reply may have.")] = None


DEFAULTS = ChatFlags()


def chat(
    model: str | None = None,
    /,
    *,
    chat_flags: ChatFlags = DEFAULTS,
    flags: ClientFlags = NO_FLAGS,
    session: Running,
) -> int:
    """Talk to a model, line by line until Ctrl-D or once with --prompt. Piped input is one prompt.

    Parameters
    ----------
    model:
        The model; without it, the first chat model that can be called.
    """
    if None not in (model, chat_flags.model):
        raise ConfigInvalid(f"the model is given twice, {model} and --model {chat_flags.model}. Leave one out.")
    model = model or chat_flags.model
    as_json = wants_json(flags.json, session.environment)
    prompt = chat_flags.prompt
    if prompt is None and not session.stdin.isatty():
        prompt = _piped(session)
    if prompt is None and as_json:
        raise ConfigInvalid("--json needs something to say. Add --prompt TEXT, or pipe it in.")
    with open_client(session, flags) as client:
        talk = _Talk(client, session, model if model is not None else _first_chat_model(client), chat_flags)
        if prompt is None:
            return talk.interactive()
        return talk.whole(prompt) if as_json else talk.once(prompt)


class _Talk:
    """One conversation: what was said so far, and how the next thing is said."""

    def __init__(self, client: ApiClient, session: Session, model: str, flags: ChatFlags) -> None:
        self._client, self._session, self._model, self._flags = client, session, model, flags
        system: JsonValue = {"role": "system", "content": flags.system}
        self._messages: list[JsonValue] = [system] if flags.system else []

    def whole(self, prompt: str) -> int:
        """Ask for the reply in one piece and print it as the API gave it."""
        self._session.say_json(self._client.send("POST", PATH, "key", self._body(prompt, stream=False)))
        return 0

    def once(self, prompt: str) -> int:
        """Stream one reply."""
        try:
            self._reply(prompt)
        except KeyboardInterrupt:
            self._session.say("")
            self._session.note("Stopped.")
            return INTERRUPTED_STATUS
        return 0

    def interactive(self) -> int:
        """Read lines and stream replies until the end of input."""
        with contextlib.suppress(ImportError):
            importlib.import_module("readline")
        self._session.note(f"{self._model}: Ctrl-C stops a reply, Ctrl-D leaves.")
        while True:
            try:
                line = self._session.read_line(PROMPT)
            except KeyboardInterrupt:
                line = None
            if line is None or line.strip() in LEAVE:
                self._session.say("")
                return 0
            if line.strip():
                self._answer(line.strip())

    def _answer(self, line: str) -> None:
        try:
            said = self._reply(line)
        except KeyboardInterrupt:
            self._session.say("")
            self._session.note("Stopped.")
            return
        except HeadraceError as error:
            self._session.note(render_failure(error))
            return
        self._messages.append({"role": "user", "content": line})
        self._messages.append({"role": "assistant", "content": said})

    def _reply(self, prompt: str) -> str:
        waiting = Waiting(self._session.stderr, f"waiting for {self._model}")
        waiting.start()
        try:
            with self._client.events(PATH, "key", self._body(prompt, stream=True)) as events:
                return _show(events, self._session, waiting)
        finally:
            waiting.stop()

    def _body(self, prompt: str, *, stream: bool) -> JsonObject:
        messages: list[JsonValue] = [*self._messages, {"role": "user", "content": prompt}]
        body: JsonObject = {"model": self._model, "messages": messages, "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        if self._flags.max_tokens is not None:
            body["max_tokens"] = self._flags.max_tokens
        return body


def _show(events: Events, session: Session, waiting: Waiting) -> str:
    """Print a reply as it comes and return it; tokens, cost and receipt go beside the result."""
    said: list[str] = []
    usage: JsonObject = {}
    money: JsonObject = {}
    finish = ""
    for data in events.data:
        chunk = event_object(data)
        usage = part(chunk, "usage") or usage
        money = part(chunk, "headrace") or money
        for choice in parts(chunk, "choices")[:1]:
            piece = text(part(choice, "delta"), "content")
            finish = text(choice, "finish_reason") or finish
            if piece:
                waiting.stop()
                said.append(piece)
                session.write(piece)
    session.say("")
    if not finish and not usage:
        raise OperatorError("the reply ended before it was whole. Ask again.", code="reply_broken")
    if finish == "length":
        session.note("The reply stops at its limit of tokens: raise --max-tokens to read on.")
    session.note(_footer(usage, money, events.headers.get("x-request-id", "")))
    return "".join(said)


def _footer(usage: JsonObject, money: JsonObject, request_id: str) -> str:
    found: list[str] = []
    if usage:
        prompt, completion = number(usage, "prompt_tokens"), number(usage, "completion_tokens")
        found.append(f"{prompt:,} + {completion:,} tokens")
    if "cost_nano_usd" in money:
        found.append(dollars(number(money, "cost_nano_usd")))
    receipt = text(money, "request_id") or request_id
    if receipt:
        found.append(f"headrace receipt {receipt}")
    return f"[{' · '.join(found)}]"


def _piped(session: Session) -> str:
    prompt = session.stdin.read(LONGEST_INPUT).strip()
    if not prompt:
        raise ConfigInvalid("standard input is empty. Add --prompt TEXT, or run this in a terminal.")
    return prompt


def _first_chat_model(client: ApiClient) -> str:
    listed = parts(client.get("/v1/models", "key"), "data")
    for entry in listed:
        if text(entry, "type", "chat") == "chat":
            return text(entry, "id")
    raise OperatorError("no chat model can be called now. What each one needs: headrace models --all", code="no_model")
