"""`pydo` as a client: its inference part and its model operations, over TLS, by constructor arguments alone."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.compatibility import probe
from tests.compatibility.probe import Feature, Job, Target

pydo: Any = importlib.import_module("pydo")
errors: Any = importlib.import_module("azure.core.exceptions")

ASKED: list[dict[str, Any]] = [{"role": "user", "content": probe.ASK}]
WEATHER: list[dict[str, Any]] = [{"role": "user", "content": "How is the weather in Oslo?"}]
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "get_weather", "parameters": dict(probe.PARAMETERS)}}
]
FORMAT = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": dict(probe.SCHEMA)}}


def client_of(job: Job, token: str | None = None) -> Any:
    """The client as a user makes it: one token for both planes."""
    return pydo.Client(
        token=token or job.admin_token,
        endpoint=job.base_url,
        inference_endpoint=job.base_url,
        connection_verify=job.authority,
        retry_total=0,
    )


class Inference:
    """The features of the three chat operations and of embeddings."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.client = client_of(job)

    def chat(self, target: Target, **more: Any) -> Any:
        """One chat completion."""
        given: dict[str, Any] = {"messages": ASKED, "max_tokens": 64, "temperature": 0, **more}
        return self.client.chat.completions.create(model=target.chat, **given)

    def text(self, target: Target) -> None:
        probe.said(target, self.chat(target).choices[0].message.content)

    def stream(self, target: Target) -> None:
        with self.chat(target, stream=True) as chunks:
            pieces = [choice.delta.get("content") for chunk in chunks for choice in chunk.choices]
        probe.said(target, "".join(piece for piece in pieces if piece))

    def tools(self, target: Target) -> None:
        choice = {"type": "function", "function": {"name": "get_weather"}}
        answer = self.chat(target, messages=WEATHER, tools=TOOLS, tool_choice=choice).choices[0].message
        [call] = answer.tool_calls
        probe.called(target, [(call.function.name, json.loads(call.function.arguments))], "Oslo")
        turns = [
            *WEATHER,
            {"role": "assistant", "tool_calls": [dict(call)]},
            {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        ]
        probe.said(target, self.chat(target, messages=turns, tools=TOOLS).choices[0].message.content)

    def parallel(self, target: Target) -> None:
        probe.only_to_the_letter(target)
        asked = [{"role": "user", "content": probe.ASK_BOTH}]
        calls = self.chat(target, messages=asked, tools=TOOLS).choices[0].message.tool_calls
        names = [(call.function.name, json.loads(call.function.arguments)) for call in calls]
        probe.called(target, names, "Oslo", "Rome")

    def image(self, target: Target) -> None:
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{probe.PIXEL}"}}
        asked = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]}]
        probe.said(target, self.chat(target, messages=asked).choices[0].message.content, probe.SEEN)

    def structured(self, target: Target) -> None:
        answer = self.chat(target, messages=WEATHER, response_format=FORMAT, max_tokens=200)
        probe.structured(target, json.loads(answer.choices[0].message.content))

    def stop(self, target: Target) -> None:
        assert self.chat(target, max_tokens=2).choices[0].finish_reason == "length"

    def usage(self, target: Target) -> None:
        usage = self.chat(target).usage
        probe.used(target, usage.prompt_tokens, usage.completion_tokens)

    def stranger(self, target: Target) -> None:
        client = client_of(self.job, "hr_nobody")
        probe.refuses_strangers(
            lambda: client.chat.completions.create(model=target.chat, messages=ASKED),
            errors.ClientAuthenticationError,
        )

    def embeddings(self, target: Target) -> None:
        made = self.client.embeddings.create(model=target.embedding, input=["river", "wheel"])
        probe.embedded([each.embedding for each in made.data], 2)

    def features(self) -> Mapping[str, Feature]:
        """Those of the chat operation, and embeddings, by name."""
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
            "embeddings": self.embeddings,
        }


class Responses:
    """The features of the operation for responses."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def text(self, target: Target) -> None:
        answer = self.client.responses.create(model=target.chat, input=probe.ASK, max_output_tokens=64)
        [message] = [item for item in answer.output if item.type == "message"]
        probe.said(target, message.content[0].text)
        probe.used(target, answer.usage.input_tokens, answer.usage.output_tokens)

    def stream(self, target: Target) -> None:
        asked = {"model": target.chat, "input": probe.ASK, "max_output_tokens": 64, "stream": True}
        with self.client.responses.create(**asked) as events:
            pieces = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
        probe.said(target, "".join(pieces))


class Messages:
    """The features of the operation for messages."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def text(self, target: Target) -> None:
        answer = self.client.messages.create(model=target.chat, messages=ASKED, max_tokens=64)
        probe.said(target, answer.content[0].text)
        probe.used(target, answer.usage.input_tokens, answer.usage.output_tokens)

    def stream(self, target: Target) -> None:
        asked = {"model": target.chat, "messages": ASKED, "max_tokens": 64, "stream": True}
        with self.client.messages.create(**asked) as events:
            deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        probe.said(target, "".join(delta["text"] for delta in deltas))


class Operations:
    """The operations on keys and models, which no upstream takes part in."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.client = client_of(job)

    def models(self) -> None:
        """Models are listed by the inference part."""
        names = {target.chat for target in self.job.targets}
        assert names <= {each.id for each in self.client.models.list().data}

    def catalog(self) -> None:
        """The catalogue is listed, and one of its cards is shown."""
        name = self.job.targets[0].chat
        listed = {each["id"]: each for each in self.client.genai.list_model_catalog()["models"]}
        assert self.client.genai.get_model_catalog_card(name)["id"] == listed[name]["id"]

    def all_models(self) -> None:
        """The older list of models."""
        self.refuse_unknown(self.client.genai.list_models(), "models")

    def make_key(self) -> None:
        """A key is made; the client knows no good answer to that since its vendor retired the operation."""
        made = self.made_key()
        target = self.job.targets[-1]
        served = client_of(self.job, made["secret_key"]).chat.completions.create(model=target.chat, messages=ASKED)
        probe.said(target, served.choices[0].message.content)
        raise probe.NotAskedError("the key is made and works, but this client raises on every answer but 410")

    def made_key(self) -> Any:
        """Return a new key, read from the answer that the client raises."""
        try:
            answer = self.client.genai.create_model_api_key(body={"name": "pydo"})
        except errors.HttpResponseError as raised:
            assert raised.status_code == 201, raised
            answer = json.loads(raised.response.text())
        return answer["api_key_info"]

    def keys(self) -> None:
        """A key is listed, made anew and deleted."""
        genai, made = self.client.genai, self.made_key()
        assert made["uuid"] in self.listed()
        anew = genai.regenerate_model_api_key(made["uuid"])["api_key_info"]
        assert anew["secret_key"] != made["secret_key"]
        genai.delete_model_api_key(anew["uuid"])
        left = self.listed().get(anew["uuid"])
        assert left is None or left["deleted_at"] is not None

    def listed(self) -> dict[str, Any]:
        """Return all keys by their ids."""
        return {each["uuid"]: each for each in self.client.genai.list_model_api_keys()["api_key_infos"]}

    def rename_key(self) -> None:
        """A key gets another name."""
        made = self.made_key()
        try:
            answer = self.client.genai.update_model_api_key(made["uuid"], body={"name": "other"})
        except errors.HttpResponseError as raised:
            if raised.status_code == 405:
                raise probe.RefusedError("405") from raised
            raise
        self.refuse_unknown(answer, "api_key_info")
        assert answer["api_key_info"]["name"] == "other"

    def routers(self) -> None:
        """A router is made, listed, shown, replaced and deleted; a wrong one is refused in the client's error."""
        genai, model = self.client.genai, self.job.targets[0].chat
        refund = {"name": "refund", "description": "Customer wants money back."}
        policies = [{"custom_task": refund, "models": [model], "selection_policy": {"prefer": "cheapest"}}]
        body: dict[str, Any] = {"name": "pydo", "policies": policies, "fallback_models": [model], "regions": ["all"]}
        made = genai.create_model_router(body=body)["model_router"]
        assert made["config"] == {"policies": policies, "fallback_models": [model]}
        page = genai.list_model_routers(page=1, per_page=1)
        assert (page["meta"], page["links"]) == ({"total": 1, "page": 1, "pages": 1}, {"pages": {}})
        assert page["model_routers"] == [made]
        assert genai.get_model_router(made["uuid"]) == {"model_router": made}
        changed = {**body, "uuid": made["uuid"], "name": "pydo-2", "description": "Desk"}
        anew = genai.update_model_router(made["uuid"], body=changed)["model_router"]
        assert (anew["uuid"], anew["name"], anew["description"]) == (made["uuid"], "pydo-2", "Desk")
        self.refuses_router({**body, "policies": [{"models": [model]}]}, "policy 0 task is required")
        self.refuses_router({**body, "name": "pydo-2"}, "exists already")
        assert genai.delete_model_router(made["uuid"]) == {"uuid": made["uuid"]}
        gone = genai.get_model_router(made["uuid"])
        assert gone["id"] == "router_not_found" and gone["message"] and gone["request_id"]

    def refuses_router(self, body: dict[str, Any], said: str) -> None:
        """A router that cannot be raises the client's error, with the public contract's body."""
        try:
            self.client.genai.create_model_router(body=body)
        except errors.HttpResponseError as raised:
            told = json.loads(raised.response.text())
            assert said in told["message"] and told["id"] and told["request_id"], told
        else:
            raise AssertionError(f"a router was made of {body}")

    def router_presets(self) -> None:
        """The catalogue's routers and tasks are listed, a page at a time."""
        presets = self.client.genai.list_model_router_presets(page=1, per_page=2)
        assert len(presets["presets"]) == 2 and presets["meta"]["total"] > 2, presets["meta"]
        assert presets["links"]["pages"]["next"] and all(each["config"]["policies"] for each in presets["presets"])
        slugs = {each["slug"] for each in self.client.genai.list_model_router_presets()["presets"]}
        assert {"software-engineering", "general", "writing", "knowledge-base-document"} <= slugs
        tasks = self.client.genai.list_model_router_task_presets()["tasks"]
        assert {"bug-fixing", "summarization"} <= {each["task_slug"] for each in tasks}

    def deployments(self) -> None:
        """A deployment is made, listed, shown, changed and deleted; another field of it than those is refused."""
        dedicated, model = self.client.dedicated_inferences, self.job.targets[0].chat
        group = {"accelerator_slug": "cpu", "scale": 1, "type": "prefill_decode"}
        deployed: dict[str, Any] = {
            "model_id": "",
            "model_slug": model,
            "model_provider": "hugging_face",
            "workload_config": {},
        }
        spec: dict[str, Any] = {
            "version": 1,
            "name": "pydo-dedicated",
            "region": "atl1",
            "vpc": {"uuid": "0199ab00-0000-4000-8000-000000000001"},
            "enable_public_endpoint": True,
            "model_deployments": [{**deployed, "accelerators": [group]}],
        }
        made = dedicated.create(body={"spec": spec, "access_tokens": {"hugging_face_token": "hf_secret"}})
        shown, token = made["dedicated_inference"], made["token"]
        assert shown["status"] in {"new", "provisioning"} and token["value"] and "hf_secret" not in json.dumps(made)
        assert {name: shown["spec"][name] for name in spec if name != "model_deployments"} == {
            name: value for name, value in spec.items() if name != "model_deployments"
        }
        listed = dedicated.list(region="atl1", page=1, per_page=1)
        assert (listed["meta"]["total"], listed["dedicated_inferences"][0]["id"]) == (1, shown["id"])
        beyond = dedicated.list(region="atl1", page=2, per_page=1)
        assert (beyond["dedicated_inferences"], set(beyond["links"]["pages"])) == ([], {"first", "prev"})
        found = dedicated.get(shown["id"])["dedicated_inference"]
        assert found["endpoints"]["public_endpoint_fqdn"].endswith(shown["id"])
        within = found["spec"]["model_deployments"][0]["model_id"]
        more = {
            **spec,
            "model_deployments": [{**deployed, "model_id": within, "accelerators": [{**group, "scale": 2}]}],
        }
        changed = dedicated.patch(shown["id"], body={"spec": more})["dedicated_inference"]
        assert changed["spec"]["model_deployments"][0]["accelerators"][0]["scale"] == 2
        self.refuses_deployment(shown["id"], {"spec": {**more, "region": "tor1"}}, "cannot change")
        self.parts_of_deployment(shown["id"])
        assert dedicated.delete(shown["id"]) is None
        gone = dedicated.get("0199ab00-0000-4000-8000-00000000dead")
        assert gone["id"] == "deployment_not_found" and gone["message"] and gone["request_id"]

    def parts_of_deployment(self, deployment_id: str) -> None:
        """Its accelerators, its tokens and the authority that its clients trust."""
        dedicated = self.client.dedicated_inferences
        used = dedicated.list_accelerators(deployment_id, slug="cpu", page=1, per_page=5)
        assert used["meta"]["total"] == len(used["accelerators"])
        for each in used["accelerators"]:
            assert dedicated.get_accelerator(deployment_id, each["id"])["role"] == "prefill_decode"
        assert dedicated.get_accelerator(deployment_id, "nobody")["id"] == "accelerator_not_found"
        made = dedicated.create_tokens(deployment_id, body={"name": "web"})["token"]
        names = [(each["name"], each["is_managed"]) for each in dedicated.list_tokens(deployment_id)["tokens"]]
        assert names == [("default", True), ("web", False)] and made["value"]
        assert dedicated.delete_tokens(deployment_id, made["id"]) is None
        assert dedicated.delete_tokens(deployment_id, made["id"])["id"] == "token_not_found"
        assert b"BEGIN CERTIFICATE" in base64.b64decode(dedicated.get_ca(deployment_id)["cert"])

    def refuses_deployment(self, deployment_id: str, body: dict[str, Any], said: str) -> None:
        """A change that cannot be raises the client's error, with the public contract's body."""
        try:
            self.client.dedicated_inferences.patch(deployment_id, body=body)
        except errors.HttpResponseError as raised:
            told = json.loads(raised.response.text())
            assert said in told["message"] and told["id"] and told["request_id"], told
        else:
            raise AssertionError(f"a deployment was changed by {body}")

    def hardware(self) -> None:
        """Machines have prices, and models have machines that hold them."""
        dedicated = self.client.dedicated_inferences
        sizes = dedicated.list_sizes()
        h100 = [each for each in sizes["sizes"] if each["gpu_slug"] == "gpu-h100x1-80gb"]
        assert h100 and all(float(each["price_per_hour"]) > 0 and each["currency"] == "USD" for each in h100)
        assert {each["region"] for each in h100} <= {*sizes["enabled_regions"], ""}
        configs = dedicated.get_gpu_model_config()["gpu_model_configs"]
        assert configs and all(each["gpu_slugs"] and each["model_slug"] for each in configs)

    def refuse_unknown(self, answer: Any, expected: str) -> None:
        """The client takes a 404 for an answer; here it is a refusal."""
        if expected not in answer:
            raise probe.RefusedError("404")

    def features(self) -> Mapping[str, Callable[[], None]]:
        """All of them by name."""
        return {
            "models (inference)": self.models,
            "models catalog": self.catalog,
            "models list": self.all_models,
            "api keys: create": self.make_key,
            "api keys: list, regenerate, delete": self.keys,
            "api keys: rename": self.rename_key,
            "routers: create, list, get, update, delete": self.routers,
            "routers: presets, task presets": self.router_presets,
            "dedicated: create, list, get, patch, delete, tokens": self.deployments,
            "dedicated: sizes, gpu model config": self.hardware,
        }


def main() -> None:
    """Try everything."""
    job = probe.read_job()
    client = client_of(job)
    probe.report("pydo · chat", Inference(job).features(), job)
    for name, kind in (("responses", Responses(client)), ("messages", Messages(client))):
        probe.report(f"pydo · {name}", {"text": kind.text, "stream": kind.stream}, job)
    for name, operation in Operations(job).features().items():
        probe.tell("pydo · control", name, "none", *probe.outcome_of(operation))


if __name__ == "__main__":
    main()
