"""Callers, models, targets and calls for tests; every builder has a default for what a test does not care about."""

from collections.abc import Mapping
from dataclasses import replace

from headrace.domain.access import Caller, Role
from headrace.domain.call import Call, Operation
from headrace.domain.catalog import Capability, LocalRunning, Model, ModelKind, Provider, WeightsFile
from headrace.domain.credential import DEFAULT_LABEL, Credential
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.plan import Plan, Target
from headrace.domain.price import PriceVersion, Rates
from headrace.domain.secret import Secret
from headrace.domain.usage import TEXT_CLASSES
from headrace.wire import openai_chat, openai_embeddings
from headrace.wire.json_strict import encode

CALLER = Caller("key1", "web", "shop", Role.KEY, None)
PROVIDER = Provider(
    "acme", "Acme", "openai", "https://api.example.com/v1", "none", "authorization", "https://example.com", "2026-11-24"
)
WEIGHTS = WeightsFile("one.gguf", "ab" * 32, 1000, "Apache-2.0", ("https://example.com/one.gguf",))
LOCAL = LocalRunning("openai", (WEIGHTS,), 1000)

TOOL: JsonObject = {"type": "function", "function": {"name": "look_up"}}


def a_price(*, input_pico: int = 1_000, output_pico: int = 4_000, markup_ppm: int = 1_000_000) -> PriceVersion:
    rates: Rates = {each: output_pico if each.value.startswith("output") else input_pico for each in TEXT_CLASSES}
    return PriceVersion("acme/one@2026-11-01#1", "acme", "one", "2026-11-01", "test", rates, markup_ppm)


def a_model(
    name: str = "one",
    *,
    kind: ModelKind = ModelKind.CHAT,
    capabilities: frozenset[Capability] = frozenset(Capability),
    local: LocalRunning | None = None,
    provider: str = "acme",
) -> Model:
    return Model(
        id=name,
        provider=provider,
        upstream_name=f"upstream-{name}",
        display_name=name.title(),
        owned_by="acme",
        kind=kind,
        capabilities=capabilities,
        context_length=4096,
        max_output_tokens=1024,
        default_output_tokens=256,
        released_on="2026-01-02",
        prices=(a_price(),),
        source="test",
        checked_on="2026-11-24",
        local=local,
    )


def a_target(model: Model | None = None, price: PriceVersion | None = None) -> Target:
    model = model or a_model()
    return Target(model, PROVIDER, price or a_price(), model.id if model.local else None, "test")


def a_credential(text: str = "sk-1", label: str = DEFAULT_LABEL) -> Credential:
    return Credential(label, Secret(text))


def targets_of(target: Target, *credentials: Credential) -> tuple[Target, ...]:
    """The target with each of these credentials, as a plan lists them."""
    provider = replace(target.provider, auth="bearer", credentials=credentials)
    return tuple(replace(target, provider=provider, credential=each) for each in credentials)


def a_plan(*targets: Target) -> Plan:
    return Plan("one", targets or (a_target(),))


def a_call(caller: Caller = CALLER, operation: Operation = Operation.CHAT, **fields: JsonValue) -> Call:
    body: JsonObject = {"model": "one", "messages": [{"role": "user", "content": "Hi"}]}
    if operation is Operation.EMBEDDINGS:
        body = {"model": "one", "input": "Hi"}
    return call_of({**body, **fields}, caller, operation)


def call_of(body: Mapping[str, JsonValue], caller: Caller = CALLER, operation: Operation = Operation.CHAT) -> Call:
    fields = dict(body)
    read = openai_chat.read_envelope if operation is Operation.CHAT else openai_embeddings.read_envelope
    envelope = read(fields, len(encode(fields)))
    return Call("req_1", operation, caller, envelope, fields, 1_000_000)
