"""Finds the providers in this package that bring an adapter of their own; what it does is theirs.

A module that has a function `adapter` is one; its name is the adapter's.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from headrace.ports.ambient import Clock
from headrace.ports.upstream import Adapter

BuildAdapter: TypeAlias = Callable[[Clock], Adapter]


def provider_adapters() -> Mapping[str, BuildAdapter]:
    """Return how to build each provider's own adapter, by its name."""
    package = __name__.rpartition(".")[0]
    names = [each.name for each in pkgutil.iter_modules([str(Path(__file__).parent)])]
    modules = {name: importlib.import_module(f"{package}.{name}") for name in names}
    return MappingProxyType({name: each.adapter for name, each in modules.items() if hasattr(each, "adapter")})
