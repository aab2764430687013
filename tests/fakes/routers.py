"""Routers in memory and presets as a test gives them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType

from headrace.domain.errors import Conflict
from headrace.domain.router import (
    Correction,
    Policy,
    Preference,
    PresetRouter,
    Presets,
    PresetTask,
    Router,
    Task,
)

BUG_FIXING = PresetTask(
    slug="bug-fixing",
    name="Bug fixing",
    category="Software engineering",
    description="Finding and repairing what is wrong in a program.",
    examples=("Why does this raise?",),
    models=("acme/chat:large",),
    tags=("code",),
    prefer=Preference.CHEAPEST,
)
SUMMARY = PresetTask("summarization", "Summarization", "General", "Making a text shorter.", (), ("tiny",))
GENERAL = PresetRouter(
    slug="general",
    display_name="General",
    short_description="Everyday work",
    long_description="Everyday work, by task.",
    router=Router(
        uuid="general",
        name="general",
        description="Everyday work",
        policies=(Policy(Task("summarization", "", preset=True), ("tiny",)),),
        fallbacks=("tiny",),
        source="preset",
    ),
)
PRESETS = Presets(
    MappingProxyType({each.slug: each for each in (BUG_FIXING, SUMMARY)}), MappingProxyType({GENERAL.slug: GENERAL})
)
SUPPORT = Router(
    uuid="0199ab00-0000-7000-8000-000000000001",
    name="support",
    description="",
    policies=(Policy(Task("refund", "Customer wants money back.", ("I want a refund.",)), ("tiny",)),),
    fallbacks=("tiny",),
)


@dataclass(slots=True)
class GivenPresets:
    """A source of presets."""

    presets: Presets = PRESETS

    def read(self) -> Presets:
        return self.presets

    def digest(self) -> str:
        return repr(self.presets)


@dataclass(slots=True)
class MemoryRouters:
    """A store of routers in memory."""

    routers: dict[str, Router] = field(default_factory=dict[str, Router])
    corrected: dict[str, Correction] = field(default_factory=dict[str, Correction])

    async def put(self, router: Router) -> None:
        if any(each.name == router.name and each.uuid != router.uuid for each in self.routers.values()):
            raise Conflict(f'A router named "{router.name}" exists already.', code="router_exists", param="name")
        self.routers[router.uuid] = router

    async def remove(self, uuid: str) -> bool:
        self.corrected = {key: each for key, each in self.corrected.items() if each.router_uuid != uuid}
        return self.routers.pop(uuid, None) is not None

    async def list(self) -> tuple[Router, ...]:
        return tuple(sorted(self.routers.values(), key=lambda each: each.name))

    async def correct(self, correction: Correction) -> None:
        self.corrected[correction.request_id] = replace(correction)

    async def take_back(self, request_id: str) -> bool:
        return self.corrected.pop(request_id, None) is not None

    async def corrections(self) -> tuple[Correction, ...]:
        return tuple(sorted(self.corrected.values(), key=lambda each: (each.made_at_micros, each.request_id)))
