"""Prints the published description of the API; `make generate` keeps it in the documents."""

import json
import sys
from typing import cast

from headrace.http.control.app import control_routes
from headrace.http.control.parts import ControlParts
from headrace.http.openapi import description
from headrace.http.routing import RouteSpec


class Anything:
    """Stands in for services and ports, of which a table of routes only keeps hold."""

    def __getattr__(self, name: str) -> object:
        return self


def route_table() -> tuple[RouteSpec, ...]:
    """Return the routes of the control application without a platform behind them."""
    return control_routes(cast("ControlParts", Anything()))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(description(route_table()), indent=1, ensure_ascii=False, sort_keys=True) + "\n")
