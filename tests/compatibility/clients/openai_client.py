"""The official `openai` SDK as a client: chat and Responses; runs in the client's own environment."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Mapping
from typing import Any

from tests.compatibility import probe
from tests.compatibility.probe import Feature, Job, Target

openai: Any = importlib.import_module("openai")
pydantic: Any = importlib.import_module("pydantic")

PICTURE = f"data:image/png;base64,{probe.PIXEL}"
WEATHER: dict[str, Any] = {"name": "get_weather", "description": "The weather.", "parameters": dict(probe.PARAMETERS)}
CHAT_TOOLS = [{"type": "function", "function": {**WEATHER, "strict": True}}]
RESPONSE_TOOLS = [{"type": "function", **WEATHER, "strict": True}]
SHAPE: Any = pydantic.create_model("Weather", city=(str, ...), warm=(bool, ...))
JSON_PLEASE = "How is the weather in Oslo? Answer in JSON."


def client_of(job: Job, *, key: str | None = None, asynchronous: bool = False) -> Any:
    """The client as a user makes it, without the retries that would hide an answer."""
    kind = openai.AsyncOpenAI if asynchronous else openai.OpenAI
    return kind(base_url=f"{job.base_url}/v1", api_key=key or job.api_key, max_retries=0)


def user(content: object) -> list[dict[str, Any]]:
    """A conversation of one turn."""
    return [{"role": "user", "content": content}]


def named(calls: Any) -> list[tuple[str, Any]]:
    """Calls by name and arguments."""
    return [(call.name, json.loads(call.arguments)) for call in calls]


class Chat:
    """The features of `client.chat.completions`."""

    def __init__(self, job: Job, loop: asyncio.Runner) -> None:
        self.job, self.loop = job, loop
        self.client, self.later = client_of(job), client_of(job, asynchronous=True)

    def given(self, target: Target, **more: Any) -> dict[str, Any]:
        """What each call says, and what only this one does."""
        return {"model": target.chat, "messages": user(probe.ASK), "temperature": 0, "max_tokens": 24, **more}

    def ask(self, target: Target, **more: Any) -> Any:
        """One answer."""
        return self.client.chat.completions.create(**self.given(target, **more))

    def text(self, target: Target) -> None:
        probe.said(target, self.ask(target).choices[0].message.content)

    def stream(self, target: Target) -> None:
        with self.client.chat.completions.stream(**self.given(target)) as events:
            pieces = [event.delta for event in events if event.type == "content.delta"]
        assert len(pieces) > 1
        probe.said(target, "".join(pieces))

    def asynchronous(self, target: Target) -> None:
        answer = self.loop.run(self.later.chat.completions.create(**self.given(target)))
        probe.said(target, answer.choices[0].message.content)

    def call_tools(self, target: Target) -> None:
        asked = user("How is the weather in Oslo?")
        choice = {"type": "function", "function": {"name": "get_weather"}}
        message = self.ask(target, messages=asked, tools=CHAT_TOOLS, tool_choice=choice).choices[0].message
        probe.called(target, named(call.function for call in message.tool_calls), "Oslo")
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
        turns = [*asked, message.to_dict(), result]
        probe.said(target, self.ask(target, messages=turns, tools=CHAT_TOOLS).choices[0].message.content)

    def parallel(self, target: Target) -> None:
        probe.only_to_the_letter(target)
        asked = self.given(target, messages=user(probe.ASK_BOTH), tools=CHAT_TOOLS)
        with self.client.chat.completions.stream(**asked) as events:
            message = events.get_final_completion().choices[0].message
        probe.called(target, named(call.function for call in message.tool_calls), "Oslo", "Rome")

    def image(self, target: Target) -> None:
        parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PICTURE}}]
        probe.said(target, self.ask(target, messages=user(parts)).choices[0].message.content, probe.SEEN)

    def structured(self, target: Target) -> None:
        asked = self.given(target, messages=user("How is the weather in Oslo?"), max_tokens=200)
        parsed = self.client.chat.completions.parse(response_format=SHAPE, **asked).choices[0].message.parsed
        probe.structured(target, parsed.model_dump())

    def json_mode(self, target: Target) -> None:
        asked = {"messages": user(JSON_PLEASE), "response_format": {"type": "json_object"}}
        answer = self.ask(target, **asked).choices[0]
        # A small model may write on until it is cut off; that it writes JSON is what is asked for.
        assert answer.message.content.lstrip().startswith("{") and (
            target.is_real or json.loads(answer.message.content)
        )

    def stop_reason(self, target: Target) -> None:
        assert self.ask(target, max_tokens=2).choices[0].finish_reason == "length"

    def stop_sequences(self, target: Target) -> None:
        probe.said(target, self.ask(target, stop=["\n\n\n"]).choices[0].message.content)

    def logprobs(self, target: Target) -> None:
        found = self.ask(target, logprobs=True, top_logprobs=2).choices[0].logprobs
        assert not target.is_real or {len(token.top_logprobs) for token in found.content} == {2}

    def usage(self, target: Target) -> None:
        usage = self.ask(target).usage
        probe.used(target, usage.prompt_tokens, usage.completion_tokens)
        chunks = self.ask(target, stream=True, stream_options={"include_usage": True})
        [last] = [chunk.usage for chunk in chunks if chunk.usage]
        probe.used(target, last.prompt_tokens, last.completion_tokens)

    def reasoning(self, target: Target) -> None:
        probe.only_of_a_thinker(target)
        asked = {"messages": user(probe.ASK_WHY), "reasoning_effort": "low"}
        probe.thought(target, self.ask(target, **asked).choices[0].message.reasoning_content)
        deltas = [chunk.choices[0].delta for chunk in self.ask(target, stream=True, **asked) if chunk.choices]
        probe.thought(target, "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas))

    def models(self, target: Target) -> None:
        assert target.chat in {model.id for model in self.client.models.list()}

    def embeddings(self, target: Target) -> None:
        made = self.client.embeddings.create(model=target.embedding, input=["river", "wheel"])
        probe.embedded([each.embedding for each in made.data], 2)

    def stranger(self, target: Target) -> None:
        client = client_of(self.job, key="hr_nobody")
        asked = self.given(target)
        probe.refuses_strangers(lambda: client.chat.completions.create(**asked), openai.AuthenticationError)

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
            "json without a schema": self.json_mode,
            "stop reason": self.stop_reason,
            "stop sequences": self.stop_sequences,
            "logprobs": self.logprobs,
            "usage": self.usage,
            "reasoning": self.reasoning,
            "models": self.models,
            "wrong key": self.stranger,
            "embeddings": self.embeddings,
        }


class Responses:
    """The features of `client.responses`."""

    def __init__(self, job: Job, loop: asyncio.Runner) -> None:
        self.job, self.loop = job, loop
        self.client, self.later = client_of(job), client_of(job, asynchronous=True)

    def given(self, target: Target, **more: Any) -> dict[str, Any]:
        """What each call says, and what only this one does."""
        return {"model": target.chat, "input": probe.ASK, "temperature": 0, "max_output_tokens": 24, **more}

    def ask(self, target: Target, **more: Any) -> Any:
        """One response."""
        return self.client.responses.create(**self.given(target, **more))

    def text(self, target: Target) -> None:
        probe.said(target, self.ask(target).output_text)

    def stream(self, target: Target) -> None:
        with self.client.responses.stream(**self.given(target)) as events:
            pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        assert len(pieces) > 1
        probe.said(target, "".join(pieces))

    def asynchronous(self, target: Target) -> None:
        probe.said(target, self.loop.run(self.later.responses.create(**self.given(target))).output_text)

    def call_tools(self, target: Target) -> None:
        choice = {"type": "function", "name": "get_weather"}
        first = self.ask(target, input="How is the weather in Oslo?", tools=RESPONSE_TOOLS, tool_choice=choice)
        calls = [item for item in first.output if item.type == "function_call"]
        probe.called(target, named(calls), "Oslo")
        result = {"type": "function_call_output", "call_id": calls[0].call_id, "output": "rain"}
        second = self.ask(target, input=[result], tools=RESPONSE_TOOLS, previous_response_id=first.id)
        probe.said(target, second.output_text)

    def parallel(self, target: Target) -> None:
        probe.only_to_the_letter(target)
        with self.client.responses.stream(**self.given(target, input=probe.ASK_BOTH, tools=RESPONSE_TOOLS)) as events:
            output = events.get_final_response().output
        probe.called(target, named(item for item in output if item.type == "function_call"), "Oslo", "Rome")

    def image(self, target: Target) -> None:
        picture = {"type": "input_image", "image_url": PICTURE, "detail": "auto"}
        parts = [{"type": "input_text", "text": "What is it?"}, picture]
        probe.said(target, self.ask(target, input=user(parts)).output_text, probe.SEEN)

    def structured(self, target: Target) -> None:
        asked = self.given(target, input="How is the weather in Oslo?", max_output_tokens=200)
        probe.structured(target, self.client.responses.parse(text_format=SHAPE, **asked).output_parsed.model_dump())

    def json_mode(self, target: Target) -> None:
        asked = {"input": JSON_PLEASE, "text": {"format": {"type": "json_object"}}}
        text = self.ask(target, **asked).output_text
        assert text.lstrip().startswith("{") and (target.is_real or json.loads(text))

    def stop_reason(self, target: Target) -> None:
        answer = self.ask(target, max_output_tokens=2)
        assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")

    def logprobs(self, target: Target) -> None:
        asked = {"top_logprobs": 2, "include": ["message.output_text.logprobs"]}
        [message] = [item for item in self.ask(target, **asked).output if item.type == "message"]
        found = message.content[0].logprobs
        assert not target.is_real or {len(token.top_logprobs) for token in found} == {2}

    def usage(self, target: Target) -> None:
        usage = self.ask(target).usage
        probe.used(target, usage.input_tokens, usage.output_tokens)
        last = list(self.ask(target, stream=True))[-1].response.usage
        probe.used(target, last.input_tokens, last.output_tokens)

    def reasoning(self, target: Target) -> None:
        probe.only_of_a_thinker(target)
        asked = {"input": probe.ASK_WHY, "reasoning": {"effort": "low"}}
        [thoughts] = [item for item in self.ask(target, **asked).output if item.type == "reasoning"]
        probe.thought(target, "".join(part.text for part in thoughts.content))
        events = list(self.ask(target, stream=True, **asked))
        deltas = [event.delta for event in events if event.type == "response.reasoning_text.delta"]
        probe.thought(target, "".join(deltas))

    def kept(self, target: Target) -> None:
        made = self.ask(target)
        assert self.client.responses.retrieve(made.id).output_text == made.output_text
        assert [item.type for item in self.client.responses.input_items.list(made.id)] == ["message"]
        self.client.responses.delete(made.id)

    def stranger(self, target: Target) -> None:
        client, asked = client_of(self.job, key="hr_nobody"), self.given(target)
        probe.refuses_strangers(lambda: client.responses.create(**asked), openai.AuthenticationError)

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
            "json without a schema": self.json_mode,
            "stop reason": self.stop_reason,
            "logprobs": self.logprobs,
            "usage": self.usage,
            "reasoning": self.reasoning,
            "kept responses": self.kept,
            "wrong key": self.stranger,
        }


def main() -> None:
    """Try everything."""
    job = probe.read_job()
    # The client keeps its connections from one model to the next, so all of them share a loop.
    with asyncio.Runner() as loop:
        probe.report("openai · chat", Chat(job, loop).features(), job)
        probe.report("openai · responses", Responses(job, loop).features(), job)


if __name__ == "__main__":
    main()
