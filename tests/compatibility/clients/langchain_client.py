"""`langchain-openai` as a client: chat by both of its APIs, and embeddings; runs in the client's own environment."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any

from tests.compatibility import probe
from tests.compatibility.probe import Feature, Job, Target

langchain: Any = importlib.import_module("langchain_openai")
messages: Any = importlib.import_module("langchain_core.messages")
openai: Any = importlib.import_module("openai")

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_weather", "description": "The weather.", "parameters": dict(probe.PARAMETERS)},
}
FORMAT: dict[str, Any] = {"title": "weather", "description": "The weather.", **probe.SCHEMA}


class Chat:
    """The features of `ChatOpenAI` over one of its two APIs."""

    def __init__(self, job: Job, loop: asyncio.Runner, *, responses: bool) -> None:
        self.job = job
        self.responses = responses
        self.loop = loop

    def model(self, target: Target, **more: Any) -> Any:
        """The chat model as a user makes it, without the retries that would hide an answer."""
        given: dict[str, Any] = {
            "api_key": self.job.api_key,
            "temperature": 0,
            "max_tokens": 64,
            "max_retries": 0,
            **more,
        }
        where = f"{self.job.base_url}/v1"
        return langchain.ChatOpenAI(
            model=target.chat, base_url=where, use_responses_api=self.responses, stream_usage=True, **given
        )

    def text(self, target: Target) -> None:
        probe.said(target, self.model(target).invoke(probe.ASK).text)

    def stream(self, target: Target) -> None:
        chunks = list(self.model(target).stream(probe.ASK))
        assert len([chunk for chunk in chunks if chunk.text]) > 1
        probe.said(target, "".join(chunk.text for chunk in chunks))

    def asynchronous(self, target: Target) -> None:
        probe.said(target, self.loop.run(self.model(target).ainvoke(probe.ASK)).text)

    def tools(self, target: Target) -> None:
        model = self.model(target)
        asked = [messages.HumanMessage("How is the weather in Oslo?")]
        answer = model.bind_tools([TOOL], tool_choice="get_weather").invoke(asked)
        probe.called(target, [(call["name"], call["args"]) for call in answer.tool_calls], "Oslo")
        result = messages.ToolMessage("rain", tool_call_id=answer.tool_calls[0]["id"])
        probe.said(target, model.bind_tools([TOOL]).invoke([*asked, answer, result]).text)

    def parallel(self, target: Target) -> None:
        probe.only_to_the_letter(target)
        chunks = list(self.model(target).bind_tools([TOOL]).stream(probe.ASK_BOTH))
        whole = chunks[0]
        for chunk in chunks[1:]:
            whole += chunk
        probe.called(target, [(call["name"], call["args"]) for call in whole.tool_calls], "Oslo", "Rome")

    def image(self, target: Target) -> None:
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{probe.PIXEL}"}}
        asked = messages.HumanMessage([{"type": "text", "text": "What is it?"}, picture])
        probe.said(target, self.model(target).invoke([asked]).text, probe.SEEN)

    def structured(self, target: Target) -> None:
        model = self.model(target, max_tokens=200).with_structured_output(FORMAT, method="json_schema", strict=True)
        probe.structured(target, model.invoke("How is the weather in Oslo?"))

    def stop(self, target: Target) -> None:
        told = self.model(target, max_tokens=2).invoke(probe.ASK).response_metadata
        if self.responses:
            assert (told["status"], told["incomplete_details"]["reason"]) == ("incomplete", "max_output_tokens"), told
        else:
            assert told["finish_reason"] == "length", told

    def usage(self, target: Target) -> None:
        whole = self.model(target).invoke(probe.ASK).usage_metadata
        probe.used(target, whole["input_tokens"], whole["output_tokens"])
        [streamed] = [chunk.usage_metadata for chunk in self.model(target).stream(probe.ASK) if chunk.usage_metadata]
        probe.used(target, streamed["input_tokens"], streamed["output_tokens"])

    def stranger(self, target: Target) -> None:
        model = self.model(target, api_key="hr_nobody")
        probe.refuses_strangers(lambda: model.invoke(probe.ASK), openai.AuthenticationError)

    def features(self) -> Mapping[str, Feature]:
        """All of them by name."""
        return {
            "text": self.text,
            "stream": self.stream,
            "async": self.asynchronous,
            "tools": self.tools,
            "parallel tools": self.parallel,
            "image": self.image,
            "structured output": self.structured,
            "stop reason": self.stop,
            "usage": self.usage,
            "wrong key": self.stranger,
        }


def embeddings_of(job: Job) -> Feature:
    """The feature of `OpenAIEmbeddings`; texts, not token lists, as it sends to whoever is not OpenAI."""

    def embeddings(target: Target) -> None:
        where = f"{job.base_url}/v1"
        client = langchain.OpenAIEmbeddings(
            model=target.embedding, base_url=where, api_key=job.api_key, check_embedding_ctx_length=False, max_retries=0
        )
        probe.embedded(client.embed_documents(["river", "wheel"]), 2)

    return embeddings


def main() -> None:
    """Try everything."""
    job = probe.read_job()
    # The client keeps its connections from one model to the next, so all of them share a loop.
    with asyncio.Runner() as loop:
        chat = {**Chat(job, loop, responses=False).features(), "embeddings": embeddings_of(job)}
        probe.report("langchain-openai · chat", chat, job)
        probe.report("langchain-openai · responses", Chat(job, loop, responses=True).features(), job)


if __name__ == "__main__":
    main()
