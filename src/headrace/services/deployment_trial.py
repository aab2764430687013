"""Tries drafts of deployments: what they mean, whether hardware holds them, what an hour costs; stores nothing."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from headrace.domain.accelerator import AcceleratorBook, Machine
from headrace.domain.architecture import ArchitectureBook
from headrace.domain.catalog import Model
from headrace.domain.dedicated import Wanted, WhenAsleep
from headrace.domain.dedicated_draft import DeploymentDraft
from headrace.domain.errors import ConfigInvalid, InvalidRequest
from headrace.domain.fit import Fit, FitAsked, FitConfig
from headrace.domain.snapshot import Snapshot
from headrace.ports.accelerators import Accelerators
from headrace.ports.ambient import Clock, Offload
from headrace.ports.architectures import Architectures
from headrace.services.deployment_choice import Ground, Offers, choose, price_of, public_name, wanted_of
from headrace.services.deployment_rules import check_overflow

MICROS_PER_SECOND = 1_000_000


class Fits(Protocol):
    """Judges whether models fit on accelerators; reads files, so it is called off the loop."""

    def judge(self, model: Model, asked: FitAsked) -> Fit:
        """Return whether a model fits as asked."""
        ...

    def configs(self, models: Iterable[Model]) -> tuple[FitConfig, ...]:
        """Return the machines that hold each model alone."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """What a draft comes to: complete, with its fit and what an hour of one replica costs in nano-dollars."""

    wanted: Wanted
    fit: Fit
    nano_per_hour: int
    price_source: str


class DeploymentTrial:
    """Judges by the snapshot of the moment and the files as they are written now."""

    def __init__(
        self,
        fitting: Fits,
        books: tuple[Accelerators, Architectures],
        offers: Offers,
        clock: Clock,
        offload: Offload,
    ) -> None:
        self._fitting = fitting
        self._accelerators, self._architectures = books
        self._offers = offers
        self._clock = clock
        self._offload = offload
        self._slugs: tuple[int, Mapping[str, str]] = (0, MappingProxyType({}))

    async def judge(self, draft: DeploymentDraft, snapshot: Snapshot, before: Wanted | None = None) -> Judged:
        """Return what a draft comes to, as a change of what was wanted `before` where it is one.

        Raises InvalidRequest, Conflict or DriverUnusable for what cannot be, Unprocessable for a change that cannot.
        """
        return await self._offload.run(self._judge, draft, snapshot, before)

    async def price(self, wanted: Wanted) -> tuple[int, str]:
        """Return what a replica costs an hour now, in nano-dollars, and by which price; raises InvalidRequest."""
        return await self._offload.run(self._price, wanted)

    async def machines(self) -> tuple[Machine, ...]:
        """Return every machine with a price in force."""
        book, _ = await self._offload.run(self._read)
        return tuple(book.machines(self._today()))

    async def configs(self, snapshot: Snapshot) -> tuple[FitConfig, ...]:
        """Return which machines hold which model of the catalogue."""
        models = [each.model for entries in snapshot.models.values() for each in entries]
        return await self._offload.run(self._fitting.configs, [each for each in models if each.deployment is None])

    async def slugs(self, snapshot: Snapshot) -> Mapping[str, str]:
        """Return the public names of the catalogue's models; they are looked up once for each snapshot.

        While a file cannot be read they stay what they were: what runs can be seen and ended all the same.
        """
        if self._slugs[0] != snapshot.version:
            with contextlib.suppress(InvalidRequest):
                self._slugs = snapshot.version, await self._offload.run(self._public_names, snapshot)
        return self._slugs[1]

    def known_slugs(self) -> Mapping[str, str]:
        """Return the public names as they were last looked up."""
        return self._slugs[1]

    def _judge(self, draft: DeploymentDraft, snapshot: Snapshot, before: Wanted | None) -> Judged:
        accelerators, architectures = self._read()
        offers = self._offers
        ground = Ground(snapshot, accelerators, architectures, offers.drivers, offers.engines, offers.default_driver)
        chosen = choose(draft, ground, before)
        asked = draft.overflow, draft.when_asleep or WhenAsleep.WAIT
        # One that went out of the catalogue stands in nobody's way who changes something else.
        if before is None or asked != (before.overflow, before.when_asleep):
            check_overflow(draft, chosen.model.kind, snapshot)
        fit = self._fitting.judge(chosen.model, chosen.question(draft))
        wanted = wanted_of(draft, chosen, fit)
        return Judged(wanted, fit, *price_of(chosen.accelerator, chosen.gpus, draft.accelerator, self._today()))

    def _price(self, wanted: Wanted) -> tuple[int, str]:
        accelerators, _ = self._read()
        found = accelerators.find(wanted.accelerator)
        if found is None:
            raise InvalidRequest(
                f'The accelerator "{wanted.accelerator}" is not known any more: put it back into'
                " HOME/accelerators.toml.",
                code="unknown_accelerator",
            )
        return price_of(found, wanted.gpus, wanted.asked_accelerator, self._today())

    def _public_names(self, snapshot: Snapshot) -> Mapping[str, str]:
        _, architectures = self._read()
        found = {
            entry.model.id: public_name(entry.model, architectures)
            for entries in snapshot.models.values()
            for entry in entries
        }
        return MappingProxyType({name: slug for name, slug in found.items() if slug})

    def _read(self) -> tuple[AcceleratorBook, ArchitectureBook]:
        try:
            return self._accelerators.read(), self._architectures.read()
        except ConfigInvalid as error:
            raise InvalidRequest(error.message, code=error.code, param=error.param, extra=error.extra) from error

    def _today(self) -> str:
        seconds = self._clock.unix_micros() // MICROS_PER_SECOND
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).date().isoformat()
