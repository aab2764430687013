"""The model list of the data plane in the shape of Anthropic's Models API, with additive fields.

Source: Anthropic API reference, "List models" (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.access import Caller
from headrace.domain.alias import Alias
from headrace.domain.catalog import Listed, ModelKind
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.snapshot import Snapshot
from headrace.http.models import callable_aliases, listed_model, model_object, named_alias, pointing

DEFAULT_LIMIT, MAX_LIMIT = 20, 1000


def messages_model_list(
    snapshot: Snapshot, caller: Caller, limit: int, after_id: str | None, before_id: str | None
) -> JsonObject:
    """Return a page of the chat models that this caller can call now; raises InvalidRequest for a foreign cursor."""
    if after_id is not None and before_id is not None:
        raise InvalidRequest('"after_id" and "before_id" exclude each other; send one.', param="before_id")
    models = (entries[0] for entries in snapshot.models.values())
    chats = [messages_model(entry) for entry in models if _is_callable_chat(entry, caller)]
    aliases = callable_aliases(snapshot, caller)
    chats += [messages_model(entry, alias) for alias, entry in aliases if entry.model.kind is ModelKind.CHAT]
    names = [str(model["id"]) for model in chats]
    if after_id is not None:
        start = _place(names, after_id, "after_id") + 1
        page, has_more = chats[start : start + limit], start + limit < len(chats)
    elif before_id is not None:
        end = _place(names, before_id, "before_id")
        page, has_more = chats[max(end - limit, 0) : end], end > limit
    else:
        page, has_more = chats[:limit], limit < len(chats)
    return {
        "data": list[JsonValue](page),
        "has_more": has_more,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def one_messages_model(snapshot: Snapshot, caller: Caller, name: str) -> JsonObject:
    """Return one model or alias that this caller may see; raises NotFound."""
    return messages_model(listed_model(snapshot, caller, name), named_alias(snapshot, name))


def messages_model(entry: Listed, alias: Alias | None = None) -> JsonObject:
    """Return one model, or the alias that points at it: Anthropic's own fields first, ours behind."""
    model, name = entry.model, entry.model.id if alias is None else alias.name
    own = model_object(entry)
    for field in ("id", "object", "created", "type", "capabilities"):
        own.pop(field)
    return {
        "type": "model",
        "id": name,
        "display_name": model.display_name if alias is None else name,
        "created_at": f"{model.released_on or '1970-01-01'}T00:00:00Z",
        "lifecycle": "active" if model.retired_on is None else "deprecated",
        "max_input_tokens": model.context_length,
        "max_tokens": model.max_output_tokens,
        "capabilities": None,
        **own,
        **({} if alias is None else pointing(alias)),
        "capability_names": list[JsonValue](sorted(each.value for each in model.capabilities)),
    }


def _is_callable_chat(entry: Listed, caller: Caller) -> bool:
    is_chat = entry.model.kind is ModelKind.CHAT
    return is_chat and entry.availability.available and caller.may_call(entry.model.id)


def _place(names: list[str], name: str, param: str) -> int:
    if name not in names:
        raise InvalidRequest(f'"{param}" names no model of this list: "{name[:80]}".', param=param)
    return names.index(name)
