"""The requests of a measurement: which models they name, what they send, what a good reply holds."""

from dataclasses import dataclass

import msgspec

BURST_EVENTS = 200
PACED_EVENTS = 150
PACED_INTERVAL_US = 33333
PROMPT = "Explain how a water wheel turns the flow of a river into work, step by step. " * 11


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of request; `model` is its id at a gateway, `upstream_model` carries the upstream's knobs."""

    name: str
    model: str
    upstream_model: str
    stream: bool
    min_events: int

    def body(self, model: str) -> bytes:
        """Return the request's body, about 1 KB, for the name that this target knows the model by."""
        fields: dict[str, object] = {
            "model": model,
            "messages": [
                {"role": "system", "content": "You answer in plain words."},
                {"role": "user", "content": PROMPT},
            ],
            "temperature": 0.7,
            "max_tokens": 512,
        }
        if self.stream:
            fields |= {"stream": True, "stream_options": {"include_usage": True}}
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
