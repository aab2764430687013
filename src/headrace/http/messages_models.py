"""The model list of the data plane in the shape of Anthropic's Models API, with additive fields.

Source: Anthropic API reference, "List models" (read 2026-11-24).
"""

from __future__ import annotations

from headrace.domain.access import Caller
from headrace.domain.catalog import Listed, ModelKind
from headrace.domain.errors import InvalidRequest
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.snapshot import Snapshot
from headrace.http.models import model_object

DEFAULT_LIMIT, MAX_LIMIT = 20, 1000


def messages_model_list(
    snapshot: Snapshot, caller: Caller, limit: int, after_id: str | None, before_id: str | None
) -> JsonObject:
    """Return a page of the chat models that this caller can call now; raises InvalidRequest for a foreign cursor."""
    if after_id is not None and before_id is not None:
        raise InvalidRequest('"after_id" and "before_id" exclude each other; send one.', param="before_id")
    entries = [(name, entries[0]) for name, entries in snapshot.models.items()]
    aliases = [each for each in snapshot.aliases.values() if each.name not in snapshot.models]
    entries += [
        (each.name, snapshot.models[each.points_to][0]) for each in aliases if each.points_to in snapshot.models
    ]
    chats = [messages_model(entry, name) for name, entry in entries if _is_callable_chat(entry, caller)]
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


def messages_model(entry: Listed, name: str) -> JsonObject:
    """Return one model under the name that the caller uses: Anthropic's own fields first, ours behind."""
    model = entry.model
    own = model_object(entry)
    for field in ("id", "object", "created", "type", "capabilities"):
        own.pop(field)
    return {
        "type": "model",
        "id": name,
        "display_name": model.display_name if name == model.id else name,
        "created_at": f"{model.released_on or '1970-01-01'}T00:00:00Z",
        "lifecycle": "active" if model.retired_on is None else "deprecated",
        "max_input_tokens": model.context_length,
        "max_tokens": model.max_output_tokens,
        "capabilities": None,
        **own,
        "capability_names": list[JsonValue](sorted(each.value for each in model.capabilities)),
    }


def _is_callable_chat(entry: Listed, caller: Caller) -> bool:
    is_chat = entry.model.kind is ModelKind.CHAT
    return is_chat and entry.availability.available and caller.may_call(entry.model.id)


def _place(names: list[str], name: str, param: str) -> int:
    if name not in names:
        raise InvalidRequest(f'"{param}" names no model of this list: "{name[:80]}".', param=param)
    return names.index(name)
