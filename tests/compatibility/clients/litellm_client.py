"""LiteLLM as a client (not as a proxy): chat, Responses and Messages; runs in the client's own environment."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

from tests.compatibility import probe
from tests.compatibility.probe import Feature, Job, Target

litellm: Any = importlib.import_module("litellm")

TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": dict(probe.PARAMETERS)}}
]
FORMAT = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": dict(probe.SCHEMA)}}
CHOICE = {"type": "function", "function": {"name": "get_weather"}}


def user(content: object) -> list[dict[str, Any]]:
    """A conversation of one turn."""
    return [{"role": "user", "content": content}]


class Completion:
    """The features of `litellm.completion` by one of its providers: `openai` (chat) or `anthropic` (Messages)."""

    def __init__(self, job: Job, provider: str) -> None:
        self.job = job
        self.provider = provider

    def complete(self, target: Target, **more: Any) -> Any:
        """One completion, without the retries that would hide an answer."""
        base = f"{self.job.base_url}/v1" if self.provider == "openai" else self.job.base_url
        given: dict[str, Any] = {
            "messages": user(probe.ASK),
            "max_tokens": 64,
            "temperature": 0,
            "api_key": self.job.api_key,
            "num_retries": 0,
            **more,
        }
        return litellm.completion(model=f"{self.provider}/{target.chat}", api_base=base, **given)

    def text(self, target: Target) -> None:
        probe.said(target, self.complete(target).choices[0].message.content)

    def stream(self, target: Target) -> None:
        chunks = list(self.complete(target, stream=True))
        probe.said(target, "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices))

    def tools(self, target: Target) -> None:
        asked = user("How is the weather in Oslo?")
        answer = self.complete(target, messages=asked, tools=TOOLS, tool_choice=CHOICE).choices[0].message
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in answer.tool_calls]
        probe.called(target, calls, "Oslo")
        result = {"role": "tool", "tool_call_id": answer.tool_calls[0].id, "content": "rain"}
        turns = [*asked, answer.model_dump(exclude_none=True), result]
        probe.said(target, self.complete(target, messages=turns, tools=TOOLS).choices[0].message.content)

    def parallel(self, target: Target) -> None:
        probe.only_to_the_letter(target)
        chunks = list(self.complete(target, messages=user(probe.ASK_BOTH), tools=TOOLS, stream=True))
        calls = litellm.stream_chunk_builder(chunks).choices[0].message.tool_calls
        named = [(call.function.name, json.loads(call.function.arguments)) for call in calls]
        probe.called(target, named, "Oslo", "Rome")

    def image(self, target: Target) -> None:
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{probe.PIXEL}"}}
        asked = user([{"type": "text", "text": "What is it?"}, picture])
        probe.said(target, self.complete(target, messages=asked).choices[0].message.content, probe.SEEN)

    def structured(self, target: Target) -> None:
        asked = user("How is the weather in Oslo?")
        answer = self.complete(target, messages=asked, response_format=FORMAT, max_tokens=200)
        probe.structured(target, json.loads(answer.choices[0].message.content))

    def stop(self, target: Target) -> None:
        assert self.complete(target, max_tokens=2).choices[0].finish_reason == "length"

    def usage(self, target: Target) -> None:
        usage = self.complete(target).usage
        probe.used(target, usage.prompt_tokens, usage.completion_tokens)
        options = {"stream": True, "stream_options": {"include_usage": True}}
        [last] = [each.usage for each in self.complete(target, **options) if getattr(each, "usage", None)]
        probe.used(target, last.prompt_tokens, last.completion_tokens)

    def stranger(self, target: Target) -> None:
        probe.refuses_strangers(lambda: self.complete(target, api_key="hr_nobody"), litellm.AuthenticationError)

    def embeddings(self, target: Target) -> None:
        where = f"{self.job.base_url}/v1"
        made = litellm.embedding(
            model=f"openai/{target.embedding}", input=["river", "wheel"], api_base=where, api_key=self.job.api_key
        )
        probe.embedded([each["embedding"] for each in made.data], 2)

    def features(self) -> Mapping[str, Feature]:
        """All of them by name."""
        return {
            "text": self.text,
            "stream": self.stream,
            "tools": self.tools,
            "parallel tools": self.parallel,
            "image": self.image,
            "structured output": self.structured,
            "stop reason": self.stop,
            "usage": self.usage,
            "wrong key": self.stranger,
        }


class Responses:
    """The features of `litellm.responses`."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def respond(self, target: Target, **more: Any) -> Any:
        """One response."""
        where = f"{self.job.base_url}/v1"
        given: dict[str, Any] = {"input": probe.ASK, "max_output_tokens": 64, "num_retries": 0, **more}
        return litellm.responses(model=f"openai/{target.chat}", api_base=where, api_key=self.job.api_key, **given)

    def text(self, target: Target) -> None:
        answer = self.respond(target)
        [message] = [item for item in answer.output if item.type == "message"]
        probe.said(target, message.content[0].text)

    def stream(self, target: Target) -> None:
        events = list(self.respond(target, stream=True))
        probe.said(target, "".join(each.delta for each in events if each.type == "response.output_text.delta"))

    def usage(self, target: Target) -> None:
        usage = self.respond(target).usage
        probe.used(target, usage.input_tokens, usage.output_tokens)


def main() -> None:
    """Try everything."""
    job = probe.read_job()
    chat, responses = Completion(job, "openai"), Responses(job)
    probe.report("litellm · chat", {**chat.features(), "embeddings": chat.embeddings}, job)
    some = {"text": responses.text, "stream": responses.stream, "usage": responses.usage}
    probe.report("litellm · responses", some, job)
    probe.report("litellm · messages", Completion(job, "anthropic").features(), job)


if __name__ == "__main__":
    main()
