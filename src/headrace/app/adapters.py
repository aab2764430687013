"""Every adapter that a catalog file may name, built once: providers in their dialects, the chat engine, the encoder."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.app.dialects import speaking_both, speaking_chat, speaking_messages, speaking_responses
from headrace.app.foundation import Foundation
from headrace.drivers.encoders.adapter import EncoderAdapter
from headrace.drivers.encoders.minilm import MiniLmEncoder
from headrace.drivers.engines.llamacpp_adapter import LlamaCppAdapter
from headrace.drivers.providers.anthropic import AnthropicAdapter
from headrace.drivers.providers.openai import OpenAiAdapter
from headrace.drivers.providers.openai_responses import OpenAiResponsesAdapter
from headrace.drivers.providers.scan import provider_adapters
from headrace.ports.ambient import Offload
from headrace.ports.fleet import Encoder, Weights
from headrace.ports.upstream import Adapter
from headrace.services.snapshots import Snapshots

ENCODER_ENGINE = "minilm"
CHAT_ENGINE = "llamacpp"
PROVIDERS = provider_adapters()
ADAPTERS = frozenset(
    {"openai", "openai_platform", "openai_responses", "anthropic", CHAT_ENGINE, ENCODER_ENGINE, *PROVIDERS}
)


def make_encoders(
    ground: Foundation, snapshots: Snapshots, weights: Weights, offload: Offload
) -> Mapping[str, MiniLmEncoder]:
    """Return the encoders of the snapshot by the upstream names of their models; adapter and scorer share them."""
    encoders: dict[str, MiniLmEncoder] = {}
    for entries in snapshots.current().models.values():
        for model in (entry.model for entry in entries):
            if model.local is not None and model.local.engine == ENCODER_ENGINE:
                files = (model.local.weights[0], model.local.weights[1])
                encoders[model.upstream_name] = MiniLmEncoder(model.id, files, weights, ground.home, offload)
    return encoders


def make_adapters(ground: Foundation, encoders: Mapping[str, Encoder], offload: Offload) -> Mapping[str, Adapter]:
    """Return the adapter of every name that a catalog file may give."""
    clock = ground.clock
    return {
        "openai": speaking_chat(OpenAiAdapter(clock, "max_tokens")),
        "openai_platform": speaking_both(OpenAiAdapter(clock, "max_completion_tokens"), OpenAiResponsesAdapter(clock)),
        "openai_responses": speaking_responses(OpenAiResponsesAdapter(clock)),
        "anthropic": speaking_messages(AnthropicAdapter(clock), clock),
        **{name: speaking_chat(build(clock)) for name, build in PROVIDERS.items()},
        CHAT_ENGINE: speaking_chat(LlamaCppAdapter(ground.ids), keeps_form=True),
        ENCODER_ENGINE: EncoderAdapter(encoders, offload),
    }
