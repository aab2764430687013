"""The official `anthropic` SDK as a client of Messages; runs in the client's own environment."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any

from tests.compatibility import probe
from tests.compatibility.probe import Feature, Job, Target

anthropic: Any = importlib.import_module("anthropic")
pydantic: Any = importlib.import_module("pydantic")

TOOLS = [{"name": "get_weather", "description": "The weather.", "input_schema": dict(probe.PARAMETERS)}]
SHAPE: Any = pydantic.create_model("Weather", city=(str, ...), warm=(bool, ...))


def client_of(job: Job, *, key: str | None = None, asynchronous: bool = False) -> Any:
    """The client as a user makes it, without the retries that would hide an answer."""
    kind = anthropic.AsyncAnthropic if asynchronous else anthropic.Anthropic
    return kind(base_url=job.base_url, api_key=key or job.api_key, max_retries=0)


def user(content: object) -> list[dict[str, Any]]:
    """A conversation of one turn."""
    return [{"role": "user", "content": content}]


def text_of(message: Any) -> str:
    """The text of all blocks."""
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message: Any) -> list[tuple[str, Any]]:
    """Calls by name and input."""
    return [(block.name, block.input) for block in message.content if block.type == "tool_use"]


class Messages:
    """The features of `client.messages`."""

    def __init__(self, job: Job, loop: asyncio.Runner) -> None:
        self.job, self.loop = job, loop
        self.client, self.later = client_of(job), client_of(job, asynchronous=True)

    def given(self, target: Target, **more: Any) -> dict[str, Any]:
        """What each call says, and what only this one does."""
        return {"model": target.chat, "messages": user(probe.ASK), "max_tokens": 24, **more}

    def ask(self, target: Target, **more: Any) -> Any:
        """One message."""
        return self.client.messages.create(**self.given(target, **more))

    def streamed(self, target: Target, **more: Any) -> Any:
        """One message, put together by the client."""
        with self.client.messages.stream(**self.given(target, **more)) as stream:
            return stream.get_final_message()

    def text(self, target: Target) -> None:
        probe.said(target, text_of(self.ask(target)))

    def stream(self, target: Target) -> None:
        with self.client.messages.stream(**self.given(target)) as stream:
            pieces = list(stream.text_stream)
        assert len(pieces) > 1
        probe.said(target, "".join(pieces))

    def asynchronous(self, target: Target) -> None:
        probe.said(target, text_of(self.loop.run(self.later.messages.create(**self.given(target)))))

    def call_tools(self, target: Target) -> None:
        asked = user("How is the weather in Oslo?")
        choice = {"type": "tool", "name": "get_weather"}
        # A real model may fill 24 tokens with white space before the call is whole.
        first = self.ask(target, messages=asked, tools=TOOLS, tool_choice=choice, max_tokens=128)
        probe.called(target, calls_of(first), "Oslo")
        assert first.stop_reason == "tool_use", f"stopped by {first.stop_reason}: {first.content}"
        [use] = [block for block in first.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": use.id, "content": "rain"}
        turns = [*asked, {"role": "assistant", "content": first.content}, *user([result])]
        probe.said(target, text_of(self.ask(target, messages=turns, tools=TOOLS)))

    def parallel(self, target: Target) -> None:
        probe.only_to_the_letter(target)
        message = self.streamed(target, messages=user(probe.ASK_BOTH), tools=TOOLS)
        probe.called(target, calls_of(message), "Oslo", "Rome")

    def image(self, target: Target) -> None:
        source = {"type": "base64", "media_type": "image/png", "data": probe.PIXEL}
        parts = [{"type": "text", "text": "What is it?"}, {"type": "image", "source": source}]
        probe.said(target, text_of(self.ask(target, messages=user(parts))), probe.SEEN)

    def structured(self, target: Target) -> None:
        asked = self.given(target, messages=user("How is the weather in Oslo?"), max_tokens=200)
        probe.structured(target, self.client.messages.parse(output_format=SHAPE, **asked).parsed_output.model_dump())

    def stop_reason(self, target: Target) -> None:
        assert self.ask(target, max_tokens=2).stop_reason == "max_tokens"
        assert self.streamed(target, max_tokens=2).stop_reason == "max_tokens"

    def stop_sequences(self, target: Target) -> None:
        probe.said(target, text_of(self.ask(target, stop_sequences=["END"])))

    def usage(self, target: Target) -> None:
        for message in (self.ask(target), self.streamed(target)):
            probe.used(target, message.usage.input_tokens, message.usage.output_tokens)

    def reasoning(self, target: Target) -> None:
        probe.only_of_a_thinker(target)
        thinking = {"type": "enabled", "budget_tokens": 1024}
        asked = {"messages": user(probe.ASK_WHY), "max_tokens": 2048, "thinking": thinking}
        for message in (self.ask(target, **asked), self.streamed(target, **asked)):
            [thoughts] = [block.thinking for block in message.content if block.type == "thinking"]
            probe.thought(target, thoughts)

    def count_tokens(self, target: Target) -> None:
        count = self.client.messages.count_tokens(model=target.chat, messages=user(probe.ASK), tools=TOOLS)
        assert count.input_tokens > 3

    def models(self, target: Target) -> None:
        assert target.chat in {model.id for model in self.client.models.list()}

    def stranger(self, target: Target) -> None:
        client, asked = client_of(self.job, key="hr_nobody"), self.given(target)
        probe.refuses_strangers(lambda: client.messages.create(**asked), anthropic.AuthenticationError)

    def features(self) -> Mapping[str, Feature]:
        """All of them by name."""
        return {
            "text": self.text,
            "stream": self.stream,
            "async": self.asynchronous,
            "tools": self.call_tools,
            "parallel tools": self.parallel,
            "image": self.image,
            "structured output": self.structured,
            "stop reason": self.stop_reason,
            "stop sequences": self.stop_sequences,
            "usage": self.usage,
            "reasoning": self.reasoning,
            "count tokens": self.count_tokens,
            "models": self.models,
            "wrong key": self.stranger,
        }


def main() -> None:
    """Try everything."""
    job = probe.read_job()
    # The client keeps its connections from one model to the next, so all of them share a loop.
    with asyncio.Runner() as loop:
        probe.report("anthropic · messages", Messages(job, loop).features(), job)


if __name__ == "__main__":
    main()
