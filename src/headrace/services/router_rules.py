"""What a router may be: tasks that are known or described, pools of models, at least one fallback model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from headrace.domain.catalog import ModelKind
from headrace.domain.errors import Conflict, InvalidRequest
from headrace.domain.names import did_you_mean
from headrace.domain.router import MANAGED_ROUTER, NAME_PATTERN, PREFIX, Policy, Router, Task, names_router
from headrace.domain.router_draft import PolicyDraft, RouterDraft
from headrace.domain.snapshot import Snapshot
from headrace.services.alias_rules import check_no_deployment

MAX_POLICIES = 200
MAX_POOL = 50
MAX_EXAMPLES = 50
MAX_TEXT_CHARS = 4_000
MAX_TASK_NAME_CHARS = 128
SHOWN_CHARS = 128
# A task's name is sent in a header of the reply.
_TASK_NAME = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)*")


def check_draft(draft: RouterDraft, snapshot: Snapshot, present: Router | None = None) -> None:
    """Raise InvalidRequest or Conflict naming the first thing that is wrong; `present` is the router to be replaced."""
    check_name(draft.name, snapshot, present)
    check_content(draft, snapshot)


def check_name(name: str | None, snapshot: Snapshot, present: Router | None = None) -> None:
    """Raise unless the name can be a router's and is free."""
    if not name:
        raise InvalidRequest("name is required: callers write router:NAME as the model.", param="name")
    if NAME_PATTERN.fullmatch(name) is None:
        raise InvalidRequest(
            f'"name" must be 1 to 255 of a-z, 0-9 and hyphen, not "{name[:SHOWN_CHARS]}".', param="name"
        )
    if name == MANAGED_ROUTER or name in {each.router.name for each in snapshot.presets.routers.values()}:
        raise Conflict(f'"{name}" is a router of the catalog; choose another name.', code="router_exists", param="name")
    check_no_deployment(name, snapshot, "name")
    taken = snapshot.routers.get(name)
    if taken is not None and (present is None or taken.uuid != present.uuid):
        raise Conflict(
            f'A router named "{name}" exists already: {taken.uuid}. Change it with PUT, or choose another name.',
            code="router_exists",
            param="name",
        )


def check_content(draft: RouterDraft, snapshot: Snapshot) -> None:
    """Raise unless everything but the name can be a router's."""
    _check_text(draft.description, "description")
    if not draft.policies:
        raise InvalidRequest("policies is required: a router has at least one task with its models.", param="policies")
    if len(draft.policies) > MAX_POLICIES:
        raise InvalidRequest(
            f"A router has at most {MAX_POLICIES} policies, not {len(draft.policies)}.", param="policies"
        )
    for index, policy in enumerate(draft.policies):
        _check_task(policy, index, snapshot)
        if not policy.models:
            path = f"policies[{index}].models"
            raise InvalidRequest(f"policy {index} models is required: name at least one model.", param=path)
        _check_models(policy.models, f"policies[{index}].models", draft, snapshot)
    _check_distinct(draft.policies)
    if not any(draft.fallbacks):
        raise InvalidRequest(
            "At least one fallback model is required: it answers what matches no task.", param="fallback_models"
        )
    _check_models(draft.fallbacks, "fallback_models", draft, snapshot)
    if draft.min_score is not None and not 0 <= draft.min_score <= 1:
        raise InvalidRequest(f'"min_score" must be from 0 to 1, not {draft.min_score}.', param="min_score")
    _check_shadow(draft, snapshot)


def router_of(draft: RouterDraft, uuid: str, created_at_micros: int, changed_at_micros: int) -> Router:
    """Return the router that a checked draft asks for."""
    return Router(
        uuid=uuid,
        name=draft.name or "",
        description=draft.description,
        policies=tuple(Policy(_task(each), each.models, each.prefer) for each in draft.policies),
        fallbacks=draft.fallbacks,
        min_score=draft.min_score,
        max_cost_nano=draft.max_cost_nano,
        shadow=draft.shadow,
        created_at_micros=created_at_micros,
        changed_at_micros=changed_at_micros,
    )


def _task(policy: PolicyDraft) -> Task:
    return policy.custom_task or Task(policy.task_slug or "", "", policy.examples, preset=True)


def _check_task(policy: PolicyDraft, index: int, snapshot: Snapshot) -> None:
    path, custom, slug = f"policies[{index}]", policy.custom_task, policy.task_slug
    if custom is None and slug is None:
        raise InvalidRequest(f"policy {index} task is required: give task_slug or custom_task.", param=path)
    if custom is not None and slug is not None:
        raise InvalidRequest(f"policy {index} has both task_slug and custom_task: give one of them.", param=path)
    if custom is None:
        _check_slug(slug or "", path, snapshot)
        _check_examples(policy.examples, f"{path}.examples")
        return
    if policy.examples:
        raise InvalidRequest(
            f'"{path}.examples" belong to a task of the catalog: put them into custom_task.examples.',
            param=f"{path}.examples",
        )
    _check_custom(custom, f"{path}.custom_task")


def _check_slug(slug: str, path: str, snapshot: Snapshot) -> None:
    if slug not in snapshot.presets.tasks:
        hint = did_you_mean(slug, snapshot.presets.tasks)
        raise InvalidRequest(
            f'No task of the catalog has the slug "{slug[:SHOWN_CHARS]}" ({path}.task_slug). '
            f"{hint or '`headrace routers tasks` lists them.'}",
            code="task_not_found",
            param=f"{path}.task_slug",
        )


def _check_custom(task: Task, path: str) -> None:
    if len(task.slug) > MAX_TASK_NAME_CHARS or _TASK_NAME.fullmatch(task.slug) is None:
        raise InvalidRequest(
            f'"{path}.name" must be 1 to {MAX_TASK_NAME_CHARS} letters, digits and signs of ASCII, without two spaces'
            f' in a row or one at an end, not "{task.slug[:SHOWN_CHARS]}": it stands in a header of replies.',
            param=f"{path}.name",
        )
    if not task.description.strip():
        raise InvalidRequest(
            f'"{path}.description" is required: prompts are matched against it.', param=f"{path}.description"
        )
    _check_text(task.description, f"{path}.description")
    _check_examples(task.examples, f"{path}.examples")


def _check_examples(examples: Sequence[str], path: str) -> None:
    if len(examples) > MAX_EXAMPLES:
        raise InvalidRequest(f'"{path}" has {len(examples)} examples; at most {MAX_EXAMPLES} are taken.', param=path)
    for index, example in enumerate(examples):
        if not example.strip():
            raise InvalidRequest(f'"{path}[{index}]" is empty: leave it out.', param=f"{path}[{index}]")
        _check_text(example, f"{path}[{index}]")


def _check_text(text: str, path: str) -> None:
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidRequest(f'"{path}" has {len(text)} characters; at most {MAX_TEXT_CHARS} are taken.', param=path)


def _check_distinct(policies: Iterable[PolicyDraft]) -> None:
    seen: dict[str, int] = {}
    for index, policy in enumerate(policies):
        slug = _task(policy).slug
        first = seen.setdefault(slug.casefold(), index)
        if first != index:
            raise InvalidRequest(
                f'policy {index} has the task "{slug}" of policy {first} again: put their models into one pool.',
                code="task_duplicate",
                param=f"policies[{index}]",
            )


def _check_models(models: Sequence[str], path: str, draft: RouterDraft, snapshot: Snapshot) -> None:
    if len(models) > MAX_POOL:
        raise InvalidRequest(f'"{path}" has {len(models)} models; at most {MAX_POOL} are taken.', param=path)
    for index, name in enumerate(models):
        place = f"{path}[{index}]"
        if name in models[:index]:
            raise InvalidRequest(f'"{name[:SHOWN_CHARS]}" stands twice in "{path}": name it once.', param=place)
        _check_model(name, place, draft, snapshot)


def _check_model(name: str, place: str, draft: RouterDraft, snapshot: Snapshot) -> None:
    if name in snapshot.models:
        _check_kind(name, name, place, snapshot)
        return
    if names_router(name):
        raise _nested(f'"{name[:SHOWN_CHARS]}" ({place}) is a router', place)
    alias = snapshot.aliases.get(name)
    if alias is None:
        hint = did_you_mean(name, (*snapshot.models, *snapshot.aliases))
        raise InvalidRequest(
            f'No model named "{name[:SHOWN_CHARS]}" ({place}). {hint or "`headrace models --all` lists them."}',
            code="model_not_found",
            param=place,
        )
    if names_router(alias.points_to):
        itself = " itself" if alias.points_to == f"{PREFIX}{draft.name}" else ""
        raise _nested(f'"{name}" ({place}) is an alias that points at the router{itself}, "{alias.points_to}"', place)
    _check_kind(alias.points_to, name, place, snapshot)


def _check_shadow(draft: RouterDraft, snapshot: Snapshot) -> None:
    shadow = draft.shadow
    if shadow is None:
        return
    _check_model(shadow.model, "shadow.model", draft, snapshot)
    if not 0 < shadow.share <= 1:
        raise InvalidRequest(
            f'"shadow.share" must be over 0 and up to 1, not {shadow.share}: leave "shadow" out to compare nothing.',
            param="shadow.share",
        )


def _check_kind(model_id: str, name: str, place: str, snapshot: Snapshot) -> None:
    for entry in snapshot.models.get(model_id, ())[:1]:
        if entry.model.kind is not ModelKind.CHAT:
            raise InvalidRequest(
                f'"{name}" ({place}) is a model for {entry.model.kind.value}, not for chat, which routers answer.',
                code="wrong_model_kind",
                param=place,
            )


def _nested(what: str, place: str) -> InvalidRequest:
    return InvalidRequest(
        f"{what}: a router sends requests to models, never to a router.", code="router_in_router", param=place
    )
