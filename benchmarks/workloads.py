"""The requests of a measurement: which models they name, what they send, what a good reply holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

BURST_EVENTS = 200
PACED_EVENTS = 150
PACED_INTERVAL_US = 33333
PROMPT = "Explain how a water wheel turns the flow of a river into work, step by step. " * 11


SYSTEM = "You answer in plain words."
MOST_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Spoken:
    """Where a dialect is asked, and with what the last event of its streams begins."""

    path: str
    end: str


SPOKEN: Mapping[str, Spoken] = MappingProxyType(
    {
        "chat": Spoken("/v1/chat/completions", "[DONE]"),
        "messages": Spoken("/v1/messages", '{"type":"message_stop"'),
        "responses": Spoken("/v1/responses", '{"type":"response.completed"'),
    }
)


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of request; `model` is its id at a gateway, `upstream_model` carries the upstream's knobs."""

    name: str
    model: str
    upstream_model: str
    stream: bool
    min_events: int
    dialect: str = "chat"

    def body(self, model: str) -> bytes:
        """Return the request's body, about 1 KB, for the name that this target knows the model by."""
        fields: dict[str, object] = {"model": model, "temperature": 0.7, "stream": self.stream}
        user = {"role": "user", "content": PROMPT}
        if self.dialect == "responses":
            fields |= {"instructions": SYSTEM, "input": PROMPT, "max_output_tokens": MOST_TOKENS}
        elif self.dialect == "messages":
            fields |= {"system": SYSTEM, "messages": [user], "max_tokens": MOST_TOKENS}
        else:
            fields |= {"messages": [{"role": "system", "content": SYSTEM}, user], "max_tokens": MOST_TOKENS}
            if self.stream:
                fields["stream_options"] = {"include_usage": True}
        return msgspec.json.encode(fields)


UNARY = Workload("unary", "bench-unary", "bench", stream=False, min_events=0)
BURST = Workload("burst", "bench-burst", f"bench-burst-{BURST_EVENTS}", stream=True, min_events=BURST_EVENTS)
PACED = Workload(
    "paced",
    "bench-paced",
    f"bench-paced-{PACED_EVENTS}-{PACED_INTERVAL_US}",
    stream=True,
    min_events=PACED_EVENTS,
)
WORKLOADS = (UNARY, BURST, PACED)
