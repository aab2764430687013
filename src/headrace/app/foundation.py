"""The ground of a home: lock, secrets, database, stores, identity; what serve and init both stand on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace.app.postgres import postgres_driver
from headrace.domain.secret import Secret
from headrace.drivers.ambient import OsRandomness, SystemClock, TimedIds
from headrace.drivers.secrets.home_keys import open_home_keys
from headrace.drivers.secrets.sealing import SealedSecrets
from headrace.drivers.stores.accounts import SqlAccounts
from headrace.drivers.stores.alerts import SqlAlertStore, SqlHourCosts
from headrace.drivers.stores.aliases import SqlAliasStore
from headrace.drivers.stores.blobs import SqlBlobs
from headrace.drivers.stores.budgets import SqlBudgetStore
from headrace.drivers.stores.credentials import SqlCredentialStore
from headrace.drivers.stores.database import Database, open_database
from headrace.drivers.stores.decisions import SqlDecisions
from headrace.drivers.stores.deployment_use import SqlDeploymentUse
from headrace.drivers.stores.deployments import SqlDeploymentStore
from headrace.drivers.stores.home import open_home
from headrace.drivers.stores.keys import SqlKeyStore
from headrace.drivers.stores.ledger import SqlLedger
from headrace.drivers.stores.outcomes import SqlOutcomes
from headrace.drivers.stores.rate_limits import SqlLimitStore
from headrace.drivers.stores.receipts import SqlReceipts
from headrace.drivers.stores.reconciliations import SqlBookedUsage, SqlReconciliations
from headrace.drivers.stores.replica_runs import SqlReplicaRuns
from headrace.drivers.stores.routers import SqlRouterStore
from headrace.drivers.stores.shadows import SqlShadows
from headrace.drivers.stores.teams import SqlTeamStore
from headrace.drivers.stores.usage_hours import SqlUsageHours
from headrace.drivers.stores.usage_reports import SqlUsageReports
from headrace.drivers.stores.webhooks import SqlWebhookStore
from headrace.services.identity import Identity


@dataclass(frozen=True, slots=True)
class Foundation:
    """One home, locked and open."""

    home: Path
    clock: SystemClock
    ids: TimedIds
    randomness: OsRandomness
    identity: Identity
    secrets: SealedSecrets
    database: Database
    ledger: SqlLedger
    receipts: SqlReceipts
    usage_hours: SqlUsageHours
    usage_reports: SqlUsageReports
    booked_usage: SqlBookedUsage
    reconciliations: SqlReconciliations
    keys: SqlKeyStore
    credentials: SqlCredentialStore
    aliases: SqlAliasStore
    blobs: SqlBlobs
    outcomes: SqlOutcomes
    limits: SqlLimitStore
    budgets: SqlBudgetStore
    teams: SqlTeamStore
    accounts: SqlAccounts
    alerts: SqlAlertStore
    hour_costs: SqlHourCosts
    webhooks: SqlWebhookStore
    routers: SqlRouterStore
    shadows: SqlShadows
    decisions: SqlDecisions
    deployments: SqlDeploymentStore
    replica_runs: SqlReplicaRuns
    deployment_use: SqlDeploymentUse


@contextmanager
def open_foundation(home: Path, store: Secret | None = None) -> Generator[Foundation, None, None]:
    """Lock the home and open its store, in PostgreSQL when there is an address; raises HomeUnusable, StoreUnusable."""
    clock, randomness = SystemClock(), OsRandomness()
    with open_home(home):
        home_keys = open_home_keys(home, randomness)
        database = open_database(home, clock) if store is None else postgres_driver().open_postgres(store, clock)
        secrets = SealedSecrets(home_keys, randomness)
        try:
            yield Foundation(
                home=home,
                clock=clock,
                ids=TimedIds(clock),
                randomness=randomness,
                identity=Identity(Secret(home_keys.pepper.hex()), randomness),
                secrets=secrets,
                database=database,
                ledger=SqlLedger(database, clock),
                receipts=SqlReceipts(database),
                usage_hours=SqlUsageHours(database),
                usage_reports=SqlUsageReports(database),
                booked_usage=SqlBookedUsage(database),
                reconciliations=SqlReconciliations(database),
                keys=SqlKeyStore(database),
                credentials=SqlCredentialStore(database),
                aliases=SqlAliasStore(database),
                blobs=SqlBlobs(database, secrets, clock),
                outcomes=SqlOutcomes(database, secrets, clock),
                limits=SqlLimitStore(database),
                budgets=SqlBudgetStore(database),
                teams=SqlTeamStore(database),
                accounts=SqlAccounts(database),
                alerts=SqlAlertStore(database),
                hour_costs=SqlHourCosts(database),
                webhooks=SqlWebhookStore(database),
                routers=SqlRouterStore(database),
                shadows=SqlShadows(database),
                decisions=SqlDecisions(database),
                deployments=SqlDeploymentStore(database),
                replica_runs=SqlReplicaRuns(database),
                deployment_use=SqlDeploymentUse(database),
            )
        finally:
            database.close()
