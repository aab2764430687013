"""The control plane in the composition root: every service that its routes call."""

from __future__ import annotations

import asyncio
import platform

from headrace import __version__
from headrace.app.foundation import Foundation
from headrace.app.machine import Asked, Machine
from headrace.app.measuring import Measuring, make_measuring
from headrace.domain.settings import ServeOptions
from headrace.drivers.observability.prometheus_observer import PrometheusObserver
from headrace.drivers.stores.upgrade import REVISIONS
from headrace.drivers.tls.authority import authority_file
from headrace.http.control.parts import About, ControlParts
from headrace.http.door import DoorParts
from headrace.services.aliases import Aliases
from headrace.services.breakeven import Breakeven
from headrace.services.budget_book import BudgetBook
from headrace.services.corrections import Corrections
from headrace.services.fit_questions import FitQuestions
from headrace.services.keys import Keys
from headrace.services.limit_changes import LimitChanges
from headrace.services.provider_credentials import ProviderCredentials
from headrace.services.receipts import ReceiptReader
from headrace.services.reconciliation import Reconciliations
from headrace.services.route_questions import RouteQuestions
from headrace.services.routers import Routers
from headrace.services.teams import Teams
from headrace.services.usage import UsageReader

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def make_control(
    ground: Foundation,
    options: ServeOptions,
    machine: Machine,
    shared: tuple[DoorParts, PrometheusObserver, asyncio.Lock],
    asked: Asked,
) -> ControlParts:
    """Build what the control plane's routes call; `shared` are the door, the metrics and the lock of all names."""
    snapshots, managed = machine.snapshots, asked.managed
    door, metrics, names = shared
    limits = LimitChanges(ground.limits, snapshots, ground.clock)
    heirs = (limits.carry_key, machine.alerting.alerts.carry_key)
    measuring = _measuring(ground, options, machine, asked)
    return ControlParts(
        door=door,
        keys=Keys(ground.keys, ground.identity, snapshots, ground.clock, heirs),
        credentials=ProviderCredentials(ground.credentials, ground.secrets, snapshots, ground.clock, asked.health),
        aliases=Aliases(ground.aliases, snapshots, ground.clock, names),
        deployments=managed.deployments,
        deployment_costs=managed.costs,
        deployment_events=managed.reconciler.events,
        fit=FitQuestions(snapshots, managed.fitting, machine.offload),
        routers=Routers(ground.routers, snapshots, ground.clock, ground.ids, names),
        corrections=Corrections(ground.decisions, ground.routers, snapshots, ground.clock, names),
        replays=measuring.replays,
        savings=measuring.savings,
        shadows=measuring.shadows,
        questions=RouteQuestions(asked.planner),
        rates=asked.rates,
        alerts=machine.alerting.alerts,
        webhooks=machine.alerting.webhooks,
        limits=limits,
        teams=Teams(ground.teams, ground.accounts, snapshots, ground.clock, ground.ids),
        budgets=BudgetBook(ground.budgets, ground.accounts, snapshots, ground.clock, ground.ids),
        responses=asked.responses,
        pulls=asked.pulls,
        receipts=ReceiptReader(ground.receipts),
        reconciliations=_reconciliations(ground, machine),
        usage=UsageReader(ground.usage_reports),
        breakeven=_breakeven(ground, machine),
        weights=machine.weights,
        compute=machine.dedicated.computes,
        about=_about(ground),
        reload=snapshots.reload,
        authority=lambda: _authority(options),
        checks={"store": ground.database.fault},
        render_metrics=metrics.render,
        metrics_public=options.host in LOOPBACK,
        offload=machine.offload,
    )


def _measuring(ground: Foundation, options: ServeOptions, machine: Machine, asked: Asked) -> Measuring:
    keep_days = options.limits.keep_decisions_days
    measuring = make_measuring(ground, asked.planner.knowledge, machine.snapshots, machine.offload, keep_days)
    machine.tasks.start("shadow sweep", measuring.shadows.sweep_for_ever())
    return measuring


def _reconciliations(ground: Foundation, machine: Machine) -> Reconciliations:
    ambient = ground.clock, ground.ids, machine.offload
    return Reconciliations(ground.reconciliations, ground.booked_usage, machine.snapshots, ambient)


def _breakeven(ground: Foundation, machine: Machine) -> Breakeven:
    accelerators = machine.dedicated.books.accelerators
    return Breakeven(machine.snapshots, accelerators, ground.usage_hours, ground.clock, machine.offload)


def _about(ground: Foundation) -> About:
    return About(
        version=__version__,
        commit=None,
        python=platform.python_version(),
        store_schema=REVISIONS[-1],
        store_synchronous=ground.database.writer.synchronous,
        store_library=ground.database.library,
    )


def _authority(options: ServeOptions) -> bytes | None:
    """Return the certificate of the home's own authority, where it signs this server's."""
    file = authority_file(options.home)
    return file.read_bytes() if options.tls and options.tls_cert is None and file.exists() else None
