"""Resources of the control plane as JSON objects, and the shape of lists; receipts are receipt_json's.

Source: https://github.com/digitalocean/openapi, `/v2/gen-ai/models/*` (read 2026-11-24): names of fields that exist
there are theirs, everything else is additive.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from headrace.domain.access import OPERATOR_ACCOUNT, AccessKey, Caller
from headrace.domain.catalog import Capability, Listed, ModelKind, Provider
from headrace.domain.credential import Credential
from headrace.domain.deployment import Replica
from headrace.domain.health import CredentialHealth
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.money import format_usd_each, format_usd_per_mtok
from headrace.domain.price import PriceVersion
from headrace.domain.secret import Secret
from headrace.domain.usage import TokenClass
from headrace.wire.iso_time import iso_time, iso_time_or_none
from headrace.wire.price_json import PER_MILLION

_INPUT_KINDS = (
    (Capability.IMAGE_INPUT, "image"),
    (Capability.AUDIO_INPUT, "audio"),
    (Capability.FILE_INPUT, "file"),
)
_OUTPUTS: Mapping[ModelKind, str] = {
    ModelKind.CHAT: "text",
    ModelKind.EMBEDDING: "vector",
    ModelKind.RERANK: "score",
    ModelKind.IMAGE: "image",
    ModelKind.SPEECH: "audio",
}
_PRICE_FIELDS = (
    ("input_price_per_million", TokenClass.INPUT_FRESH),
    ("output_price_per_million", TokenClass.OUTPUT_TEXT),
    ("reasoning_price_per_million", TokenClass.OUTPUT_REASONING),
    ("cache_read_input_price_per_million", TokenClass.INPUT_CACHE_READ),
    ("cache_write_5m_input_price_per_million", TokenClass.INPUT_CACHE_WRITE_5M),
    ("cache_write_1h_input_price_per_million", TokenClass.INPUT_CACHE_WRITE_1H),
)


def list_object(plural: str, entries: Iterable[JsonObject], meta: JsonObject | None = None) -> JsonObject:
    """Return a list under its plural name with the total and the links to other pages, here none."""
    items: list[JsonValue] = list(entries)
    return {plural: items, "meta": {"total": len(items)} if meta is None else meta, "links": {"pages": {}}}


def me_object(caller: Caller) -> JsonObject:
    """Return who is asking and what they may call."""
    return {
        "team": caller.team,
        "account": caller.account,
        "role": caller.role.value,
        "key_id": caller.key_id,
        "key_name": caller.key_name,
        "models": _names(caller.models),
    }


def key_info(key: AccessKey, secret: Secret | None = None) -> JsonObject:
    """Return an access key; `secret` is given only in the reply that creates it."""
    info: JsonObject = {
        "uuid": key.public_id,
        "name": key.name,
        "created_at": iso_time(key.created_at_micros),
        "created_by": OPERATOR_ACCOUNT,
        "deleted_at": iso_time_or_none(key.revoked_at_micros),
        "models": _names(key.models),
        "team": key.account,
        "account": key.account,
        "role": key.role.value,
        "response_cache": None if key.cache_seconds is None else {"ttl_seconds": key.cache_seconds},
    }
    if secret is not None:
        info["secret_key"] = secret.reveal()
    return info


def provider_object(provider: Provider, credential_source: str | None, models: int) -> JsonObject:
    """Return a provider; which credentials it has and where they come from, never a credential."""
    return {
        "name": provider.name,
        "display_name": provider.display_name,
        "base_url": provider.base_url,
        "wire_format": provider.adapter,
        "needs_credential": provider.needs_credential,
        "credential_set": bool(provider.credentials),
        "credential_source": credential_source,
        "credentials": [{"label": each.label, "source": each.source} for each in provider.credentials],
        "key_variable": provider.key_variable,
        "docs_url": provider.docs_url,
        "models": models,
    }


def credential_object(
    credential: Credential, health: CredentialHealth, since_micros: int | None, until_micros: int | None
) -> JsonObject:
    """Return how one of a provider's credentials does, by its label."""
    return {
        "label": credential.label,
        "source": credential.source,
        "health": {
            "state": health.state.value,
            "code": health.code,
            "since": iso_time_or_none(since_micros),
            "until": iso_time_or_none(until_micros),
            "models": _sorted(health.models),
        },
    }


def replica_object(replica: Replica) -> JsonObject:
    """Return a replica as it was last observed."""
    return {
        "id": replica.id,
        "deployment": replica.deployment,
        "state": replica.state.value,
        "pid": replica.pid,
        "started_at": iso_time(replica.started_at_micros),
        "reason": replica.reason or None,
    }


def catalog_entry(entries: Sequence[Listed], weights_present: bool) -> JsonObject:
    """Return one model of the catalog: the entry that serves first, and all that could serve under `offers`."""
    first = entries[0]
    model = first.model
    return {
        "id": model.id,
        "model_id": model.id,
        "name": model.display_name,
        "creator": model.owned_by,
        "provider": model.provider,
        "type": model.kind.value,
        "short_description": model.description,
        "context_window": model.context_length,
        "max_output_tokens": model.max_output_tokens,
        "parameter_count": None,
        "modalities": _modalities(first),
        "capabilities": _sorted(model.capabilities),
        "best_effort_capabilities": _sorted(model.best_effort),
        "availability": _availability(first),
        "badges": [],
        "benchmark_score": {},
        "hugging_face_id": None,
        "pricing": _pricing(first.price),
        "scaled_pricing_enabled": first.price is not None and bool(first.price.tiers),
        "created_at": f"{model.released_on}T00:00:00.000000Z" if model.released_on else None,
        "prices": _prices(first.price),
        "prices_usd_each": _prices_each(first.price),
        "price_version": None if first.price is None else first.price.id,
        "weights": _weights(first, weights_present),
        "dimensions": model.dimensions,
        "licence": model.licence or None,
        "source": model.source,
        "checked_on": model.checked_on,
        "retired_on": model.retired_on,
        "offers": [_offer(each) for each in entries],
    }


def _offer(entry: Listed) -> JsonObject:
    return {
        "provider": entry.model.provider,
        "availability": _availability(entry),
        "prices": _prices(entry.price),
        "prices_usd_each": _prices_each(entry.price),
        "price_version": None if entry.price is None else entry.price.id,
    }


def _availability(entry: Listed) -> JsonObject:
    found = entry.availability
    return {
        "available": found.available,
        "code": found.code,
        "reason": found.reason or None,
        "fix": found.fix or None,
    }


def _modalities(entry: Listed) -> JsonObject:
    model = entry.model
    has = model.capabilities | model.best_effort
    inputs: list[JsonValue] = ["text", *(name for capability, name in _INPUT_KINDS if capability in has)]
    return {"input": inputs, "output": [_OUTPUTS[model.kind]]}


def _prices(price: PriceVersion | None) -> JsonObject | None:
    if price is None:
        return None
    return {name.value: format_usd_per_mtok(pico) for name, pico in price.rates_pico.items() if name in PER_MILLION}


def _prices_each(price: PriceVersion | None) -> JsonObject | None:
    if price is None:
        return None
    return {name.value: format_usd_each(pico) for name, pico in price.rates_pico.items() if name not in PER_MILLION}


def _pricing(price: PriceVersion | None) -> JsonObject | None:
    if price is None:
        return None
    rates = price.rates_pico
    return {name: format_usd_per_mtok(rates[each]) for name, each in _PRICE_FIELDS if each in rates}


def _weights(entry: Listed, present: bool) -> JsonObject | None:
    local = entry.model.local
    if local is None or not local.weights:
        return None
    return {
        "sha256": local.weights[0].sha256,
        "size_bytes": sum(each.size_bytes for each in local.weights),
        "licence": local.weights[0].licence,
        "present": present,
    }


def _names(models: frozenset[str] | None) -> JsonValue:
    return None if models is None else _sorted(models)


def _sorted(names: Iterable[str]) -> list[JsonValue]:
    return list[JsonValue](sorted(str(each) for each in names))
