"""Which dialect each adapter speaks, and the pairs by which it serves the others."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.call import Dialect
from headrace.ports.ambient import Clock
from headrace.ports.upstream import Adapter
from headrace.services.spoken import SpokenDialects
from headrace.services.translation import TranslatingAdapter
from headrace.wire import openai_chat, openai_responses
from headrace.wire.anthropic_messages import read_translated_envelope
from headrace.wire.chat_to_messages import ChatToMessages
from headrace.wire.chat_to_responses import ChatToResponses
from headrace.wire.messages_to_chat import MessagesToChat
from headrace.wire.messages_to_responses import MessagesToResponses
from headrace.wire.pair import Pair
from headrace.wire.responses_to_chat import ResponsesToChat
from headrace.wire.responses_to_messages import ResponsesToMessages


def speaking_chat(inner: Adapter, *, keeps_form: bool = False) -> Adapter:
    """Return an adapter of a chat upstream that serves the other dialects too; an engine with grammars keeps forms."""
    pairs: Mapping[Dialect, Pair] = {Dialect.MESSAGES: MessagesToChat(), Dialect.RESPONSES: ResponsesToChat()}
    return TranslatingAdapter(inner, Dialect.CHAT, pairs, openai_chat.read_envelope, keeps_form=keeps_form)


def speaking_messages(inner: Adapter, clock: Clock) -> Adapter:
    """Return an adapter of a Messages upstream that serves the other dialects too."""

    def unix_seconds() -> int:
        return clock.unix_micros() // 1_000_000

    pairs: Mapping[Dialect, Pair] = {
        Dialect.CHAT: ChatToMessages(unix_seconds),
        Dialect.RESPONSES: ResponsesToMessages(unix_seconds),
    }
    return TranslatingAdapter(inner, Dialect.MESSAGES, pairs, read_translated_envelope)


def speaking_responses(inner: Adapter) -> Adapter:
    """Return an adapter of a Responses upstream that serves the other dialects too."""
    pairs: Mapping[Dialect, Pair] = {Dialect.CHAT: ChatToResponses(), Dialect.MESSAGES: MessagesToResponses()}
    return TranslatingAdapter(inner, Dialect.RESPONSES, pairs, openai_responses.read_envelope)


def speaking_both(chat: Adapter, responses: Adapter) -> Adapter:
    """Return an adapter of an upstream that speaks chat and Responses; other dialects are served by chat."""
    own = TranslatingAdapter(responses, Dialect.RESPONSES, {}, openai_responses.read_envelope)
    return SpokenDialects(speaking_chat(chat), {Dialect.RESPONSES: own})
