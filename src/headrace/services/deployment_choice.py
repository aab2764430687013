"""What the words of a draft mean: model, driver, engine, accelerator and price; whether they fit together; pure.

Raised errors name the field, the closest known word and the fix. Names, numbers and overflow are deployment_rules'.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from headrace.domain.accelerator import Accelerator, AcceleratorBook
from headrace.domain.architecture import ArchitectureBook
from headrace.domain.catalog import Model, ModelKind
from headrace.domain.dedicated import ScalingMetric, Wanted, WhenAsleep
from headrace.domain.dedicated_draft import DeploymentDraft
from headrace.domain.errors import Conflict, InvalidRequest
from headrace.domain.fit import DEFAULT_SLOTS, Fit, FitAsked
from headrace.domain.names import did_you_mean
from headrace.domain.snapshot import Snapshot
from headrace.services.availability import NO_WEIGHTS
from headrace.services.deployment_rules import (
    ACCELERATOR,
    MODEL,
    SHOWN_CHARS,
    check_fixed,
    check_numbers,
    unknown_model,
)

DEFAULT_IDLE_SECONDS, DEFAULT_WAIT_SECONDS = 600, 120
_KINDS = frozenset({ModelKind.CHAT, ModelKind.EMBEDDING})


@dataclass(frozen=True, slots=True)
class DriverOffer:
    """A compute driver that deployments may name; `check` raises DriverUnusable when it lacks something.

    Without `runs_engines` it has engines and weights of its own, and neither is looked for here. Without
    `scales_by_first_token` its cluster scales by itself and does not know the time to the first token.
    """

    check: Callable[[], None]
    runs_engines: bool = True
    scales_by_first_token: bool = True


@dataclass(frozen=True, slots=True)
class EngineOffer:
    """An engine that deployments may name. With `needs_files` it runs weights that are here, others it can fetch."""

    needs_files: bool


@dataclass(frozen=True, slots=True)
class Offers:
    """What this installation runs deployments with; `engines` are those of the files that were read at its start."""

    drivers: Mapping[str, DriverOffer]
    engines: Mapping[str, EngineOffer]
    default_driver: str


@dataclass(frozen=True, slots=True)
class Ground:
    """What a draft is judged by."""

    snapshot: Snapshot
    accelerators: AcceleratorBook
    architectures: ArchitectureBook
    drivers: Mapping[str, DriverOffer]
    engines: Mapping[str, EngineOffer]
    default_driver: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a draft means, looked up; `gpus` are those of one replica, `served_model` is as in Wanted."""

    model: Model
    driver: str
    engine: str
    accelerator: Accelerator
    gpus: int
    served_model: str = ""

    def question(self, draft: DeploymentDraft) -> FitAsked:
        """Return what the fit is asked."""
        slots = draft.slots or (self.model.local.slots if self.model.local is not None else DEFAULT_SLOTS)
        return FitAsked(self.accelerator.slug, self.gpus, draft.context_length, slots)


def choose(draft: DeploymentDraft, ground: Ground, before: Wanted | None = None) -> Chosen:
    """Return what a draft means, as a change of what was wanted `before` where it is one.

    Raises InvalidRequest, Conflict or DriverUnusable for what cannot be, Unprocessable for a change that cannot.
    """
    check_numbers(draft)
    model = _model(draft.model, ground, before)
    driver = draft.driver or ground.default_driver
    offer = _driver(driver, ground.drivers)
    if before is not None:
        check_fixed(draft, model.id, driver, before)
    _check_target(draft, driver, offer)
    engine = _engine(draft, model, ground) if offer.runs_engines else _no_engine(draft, driver)
    if draft.context_length is not None and draft.context_length > model.context_length:
        raise InvalidRequest(
            f'"{model.id}" reads at most {model.context_length} tokens, not {draft.context_length}.',
            param=f"{MODEL}.context_length",
        )
    accelerator, gpus = _accelerator(draft, ground.accelerators)
    offer.check()
    served = "" if offer.runs_engines else public_name(model, ground.architectures)
    return Chosen(model, driver, engine, accelerator, gpus, served)


def wanted_of(draft: DeploymentDraft, chosen: Chosen, fit: Fit) -> Wanted:
    """Return what a checked draft asks for; raises InvalidRequest when the hardware does not hold the model."""
    if not fit.fits:
        param = f"{ACCELERATOR}.gpus"
        raise InvalidRequest(fit.sentence, code="impossible_fit", param=param, extra={"gpus_needed": fit.gpus})
    return Wanted(
        name=draft.name,
        model=chosen.model.id,
        driver=chosen.driver,
        engine=chosen.engine,
        accelerator=chosen.accelerator.slug,
        gpus=chosen.gpus,
        min_scale=draft.min_scale,
        max_scale=draft.max_scale,
        slots=fit.slots,
        context_length=fit.context_length,
        idle_seconds=DEFAULT_IDLE_SECONDS if draft.idle_seconds is None else draft.idle_seconds,
        target=draft.target,
        overflow=draft.overflow,
        when_asleep=draft.when_asleep or WhenAsleep.WAIT,
        wait_seconds=DEFAULT_WAIT_SECONDS if draft.wait_seconds is None else draft.wait_seconds,
        region=draft.region,
        vpc_uuid=draft.vpc_uuid,
        enable_public_endpoint=draft.enable_public_endpoint,
        asked_accelerator=draft.accelerator,
        model_provider=draft.model_provider,
        provider_model_id=draft.provider_model_id,
        workload_config=draft.workload_config,
        served_model=chosen.served_model,
    )


def price_of(accelerator: Accelerator, gpus: int, asked: str, day: str) -> tuple[int, str]:
    """Return what a replica costs an hour, in nano-dollars, and where that price is from; raises InvalidRequest."""
    found = accelerator.hourly_price(asked, gpus, day)
    if found is not None:
        return found
    raise InvalidRequest(
        f"{accelerator.name} has no price on {day}, and what has no price is not run: add one with its date under"
        f' [[accelerators]] slug = "{accelerator.slug}" in HOME/accelerators.toml.',
        code="accelerator_unpriced",
        param=f"{ACCELERATOR}.accelerator_slug",
    )


def public_name(model: Model, architectures: ArchitectureBook) -> str:
    """Return a model's public name, or nothing where none is known."""
    found = architectures.find(model.id, model.upstream_name)
    return "" if found is None else found.models[0]


def _model(name: str, ground: Ground, before: Wanted | None) -> Model:
    path, snapshot = f"{MODEL}.model_slug", ground.snapshot
    if not name:
        raise InvalidRequest(f'"{path}" is missing: it names the model that is run.', param=path)
    if name in snapshot.aliases and name not in snapshot.models:
        raise InvalidRequest(
            f'"{name}" is an alias; name "{snapshot.aliases[name].points_to}" instead.',
            code="model_not_found",
            param=path,
        )
    candidates = [each.model for each in snapshot.models.get(name, ())] or _by_public_name(name, ground)
    if not candidates:
        raise unknown_model(name, path, snapshot.models, ground.architectures.names())
    # A public name may stand for several; a change means the one that runs.
    candidates = [each for each in candidates if before is not None and each.id == before.model] or candidates
    model = next((each for each in candidates if each.local is not None), candidates[0])
    if model.deployment is not None:
        raise InvalidRequest(
            f'"{name}" is a deployment itself; name the model that it runs, "{model.deployment.wanted.model}".',
            param=path,
        )
    if model.kind not in _KINDS:
        raise InvalidRequest(
            f'"{model.id}" is a model for {model.kind.value}; deployments run models for chat and embeddings.',
            code="wrong_model_kind",
            param=path,
        )
    return model


def _by_public_name(name: str, ground: Ground) -> list[Model]:
    known = ground.architectures.find(name)
    names = {name.casefold()} if known is None else {each.casefold() for each in known.models}
    return [
        entry.model
        for entries in ground.snapshot.models.values()
        for entry in entries
        if entry.model.deployment is None and not names.isdisjoint(_folded(entry.model))
    ]


def _folded(model: Model) -> tuple[str, str]:
    return model.id.casefold(), model.upstream_name.casefold()


def _driver(name: str, drivers: Mapping[str, DriverOffer]) -> DriverOffer:
    if name not in drivers:
        hint = did_you_mean(name, drivers)
        raise InvalidRequest(
            f'No driver named "{name[:SHOWN_CHARS]}". {hint or f"There are: {_listed(drivers)}."}',
            code="unknown_driver",
            param=f"{MODEL}.driver",
        )
    return drivers[name]


def _check_target(draft: DeploymentDraft, driver: str, offer: DriverOffer) -> None:
    first_token = ScalingMetric.FIRST_TOKEN
    if offer.scales_by_first_token or draft.target is None or draft.target.metric is not first_token:
        return
    raise InvalidRequest(
        f'The cluster of the driver "{driver}" scales by itself and does not know the time to the first token: it'
        f' cannot hold a target of {first_token}. Use "{ScalingMetric.QUEUE_DEPTH}", or no target.',
        param=f"{MODEL}.target.metric",
    )


def _engine(draft: DeploymentDraft, model: Model, ground: Ground) -> str:
    own = model.local.engine if model.local is not None else ground.architectures.folder_engine
    name, path = draft.engine or own, f"{MODEL}.engine"
    offer = ground.engines.get(name)
    if offer is None:
        hint, there = did_you_mean(name, ground.engines), f"There are: {_listed(ground.engines)}."
        raise InvalidRequest(
            f'No engine named "{name[:SHOWN_CHARS]}" runs deployments. {hint or there}',
            code="unknown_engine",
            param=path,
        )
    _check_weights(model, name, offer, ground)
    return name


def _no_engine(draft: DeploymentDraft, driver: str) -> str:
    if draft.engine:
        path = f"{MODEL}.engine"
        raise InvalidRequest(
            f'The driver "{driver}" has engines of its own: leave "{path}" out, not "{draft.engine[:SHOWN_CHARS]}".',
            param=path,
        )
    return ""


def _check_weights(model: Model, engine: str, offer: EngineOffer, ground: Ground) -> None:
    path = f"{MODEL}.model_slug"
    if model.local is not None and model.local.engine == engine:
        entries = ground.snapshot.models.get(model.id, ())
        missing = next((each.availability for each in entries if each.availability.code == NO_WEIGHTS), None)
        if missing is not None:
            raise Conflict(
                f'"{model.id}" cannot run yet: {missing.reason} {missing.fix}', code="weights_missing", param=path
            )
    elif offer.needs_files or not (public_name(model, ground.architectures) or "/" in model.upstream_name):
        raise InvalidRequest(
            f'"{model.id}" has no weights that "{engine}" could run: `headrace models add PATH` makes a model of a file'
            " or folder that you have.",
            code=NO_WEIGHTS,
            param=path,
        )


def _accelerator(draft: DeploymentDraft, book: AcceleratorBook) -> tuple[Accelerator, int]:
    path, name = f"{ACCELERATOR}.accelerator_slug", draft.accelerator
    known = ", ".join(each.slug for each in book.accelerators)
    if not name:
        raise InvalidRequest(f'"{path}" is missing: it is one of {known}, or a cloud\'s name for one.', param=path)
    found = book.find_machine(name)
    if found is None:
        hint = did_you_mean(name, book.names()) or f"Known are: {known}."
        raise InvalidRequest(
            f'No accelerator named "{name[:SHOWN_CHARS]}". {hint}', code="unknown_accelerator", param=path
        )
    accelerator, gpus = found
    gpus = gpus if draft.gpus is None else draft.gpus
    if gpus == 0 and not accelerator.is_processor:
        path = f"{ACCELERATOR}.gpus"
        raise InvalidRequest(f'"{path}" must be at least 1, not 0: each replica has its own.', param=path)
    return accelerator, gpus


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"
