"""Models as the older list shows them, and what each is good for in that list's words.

Source: https://github.com/digitalocean/openapi, `/v2/gen-ai/models`, by pydo 0.44.0 (read 2026-11-25): names of fields
and use cases are theirs; what Headrace does not know is left out.
"""

from __future__ import annotations

from headrace.domain.catalog import Capability, Listed, Model, ModelKind
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.wire.control_json import catalog_entry

_AGENT, _KNOWLEDGE = "MODEL_USECASE_AGENT", "MODEL_USECASE_KNOWLEDGEBASE"
_REASONING, _SERVERLESS = "MODEL_USECASE_REASONING", "MODEL_USECASE_SERVERLESS"
USECASES = (
    "MODEL_USECASE_UNKNOWN",
    _AGENT,
    "MODEL_USECASE_FINETUNED",
    _KNOWLEDGE,
    "MODEL_USECASE_GUARDRAIL",
    _REASONING,
    _SERVERLESS,
)
_SHARED = ("id", "name", "type", "created_at", "capabilities", "modalities", "benchmark_score", "pricing")


def usecases_of(model: Model) -> frozenset[str]:
    """Return what a model may be used for."""
    found = {_SERVERLESS}
    if model.kind is ModelKind.CHAT:
        found.add(_AGENT)
    if model.kind is ModelKind.EMBEDDING:
        found.add(_KNOWLEDGE)
    if Capability.REASONING in model.capabilities | model.best_effort:
        found.add(_REASONING)
    return frozenset(found)


def callable_model(entry: Listed) -> JsonObject:
    """Return a model that can be called now."""
    model, whole = entry.model, catalog_entry((entry,), weights_present=True)
    return {
        **{name: whole[name] for name in _SHARED},
        "description": model.description,
        "provider": f"MODEL_PROVIDER_{model.provider.upper()}",
        "is_foundational": True,
        "lifecycle_status": "active",
        "model_availability": "serverless",
        "context_window": str(model.context_length),
        "usecases": list[JsonValue](sorted(usecases_of(model))),
    }
