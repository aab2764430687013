"""Who listens on a port of this machine: for the error of a server that finds it taken."""

from __future__ import annotations

import psutil


def port_owner(port: int) -> str | None:
    """Return the name and pid of the process that listens on a TCP port, or None when it cannot be seen."""
    try:
        connections = psutil.net_connections("tcp")
        for each in connections:
            if each.status == psutil.CONN_LISTEN and each.laddr and each.laddr.port == port and each.pid:
                return f"{psutil.Process(each.pid).name()} (pid {each.pid})"
    except psutil.Error:
        return None
    return None
