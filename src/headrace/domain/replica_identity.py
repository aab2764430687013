"""Whether two sights of a replica are one process, not two that had one name after the other; pure."""

from __future__ import annotations

from headrace.domain.deployment import Replica, ReplicaState
from headrace.domain.replica_run import ReplicaRun

# A driver may say first when it began to start a process, then when the process began.
START_SLACK_MICROS = 2_000_000


def is_ended(replica: Replica) -> bool:
    """Whether it is gone, as far as its driver says."""
    return replica.ended_at_micros is not None or replica.state is ReplicaState.FAILED


def is_process(known: Replica, heard: Replica) -> bool:
    """Whether both are one process of one deployment."""
    return (known.deployment, known.id) == (heard.deployment, heard.id) and is_same(known, heard)


def is_same(known: Replica, heard: Replica) -> bool:
    """Whether both, which have one name, are one process."""
    if None not in (known.pid, heard.pid) and known.pid != heard.pid:
        return False
    if known.ready_at_micros is not None and known.ready_at_micros == heard.ready_at_micros:
        return True
    return abs(known.started_at_micros - heard.started_at_micros) <= START_SLACK_MICROS


def replica_of(run: ReplicaRun) -> Replica:
    """Return the replica of a run as it was last known."""
    return Replica(
        id=run.replica,
        deployment=run.deployment_id,
        state=ReplicaState.STARTING if run.ready_at_micros is None else ReplicaState.READY,
        base_url=None,
        pid=run.pid,
        started_at_micros=run.started_at_micros,
        ready_at_micros=run.ready_at_micros,
        ended_at_micros=run.gone_at_micros,
    )
