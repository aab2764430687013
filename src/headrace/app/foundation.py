"""The ground of a home: lock, secrets, database, stores, identity; what serve and init both stand on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace.domain.secret import Secret
from headrace.drivers.ambient import OsRandomness, SystemClock, TimedIds
from headrace.drivers.secrets.home_keys import open_home_keys
from headrace.drivers.secrets.sealing import SealedSecrets
from headrace.drivers.stores.accounts import SqliteAccounts
from headrace.drivers.stores.alerts import SqliteAlertStore, SqliteHourCosts
from headrace.drivers.stores.aliases import SqliteAliasStore
from headrace.drivers.stores.blobs import SqliteBlobs
from headrace.drivers.stores.budgets import SqliteBudgetStore
from headrace.drivers.stores.credentials import SqliteCredentialStore
from headrace.drivers.stores.database import Database, open_database
from headrace.drivers.stores.home import open_home
from headrace.drivers.stores.keys import SqliteKeyStore
from headrace.drivers.stores.ledger import SqliteLedger
from headrace.drivers.stores.outcomes import SqliteOutcomes
from headrace.drivers.stores.rate_limits import SqliteLimitStore
from headrace.drivers.stores.receipts import SqliteReceipts
from headrace.drivers.stores.teams import SqliteTeamStore
from headrace.drivers.stores.usage_hours import SqliteUsageHours
from headrace.drivers.stores.webhooks import SqliteWebhookStore
from headrace.drivers.stores.usage_reports import SqliteUsageReports
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
    ledger: SqliteLedger
    receipts: SqliteReceipts
    usage_hours: SqliteUsageHours
    usage_reports: SqliteUsageReports
    keys: SqliteKeyStore
    credentials: SqliteCredentialStore
    aliases: SqliteAliasStore
    blobs: SqliteBlobs
    outcomes: SqliteOutcomes
    limits: SqliteLimitStore
    budgets: SqliteBudgetStore
    teams: SqliteTeamStore
    accounts: SqliteAccounts
    alerts: SqliteAlertStore
    hour_costs: SqliteHourCosts
    webhooks: SqliteWebhookStore


@contextmanager
def open_foundation(home: Path) -> Generator[Foundation, None, None]:
    """Lock the home and open its store; raises HomeUnusable, StoreUnusable."""
    clock, randomness = SystemClock(), OsRandomness()
    with open_home(home):
        home_keys = open_home_keys(home, randomness)
        database = open_database(home, clock)
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
                ledger=SqliteLedger(database, clock),
                receipts=SqliteReceipts(database),
                usage_hours=SqliteUsageHours(database),
                usage_reports=SqliteUsageReports(database),
                keys=SqliteKeyStore(database),
                credentials=SqliteCredentialStore(database),
                aliases=SqliteAliasStore(database),
                blobs=SqliteBlobs(database, secrets, clock),
                outcomes=SqliteOutcomes(database, secrets, clock),
                limits=SqliteLimitStore(database),
                budgets=SqliteBudgetStore(database),
                teams=SqliteTeamStore(database),
                accounts=SqliteAccounts(database),
                alerts=SqliteAlertStore(database),
                hour_costs=SqliteHourCosts(database),
                webhooks=SqliteWebhookStore(database),
            )
        finally:
            database.close()
