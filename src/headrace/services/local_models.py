"""Finds a model that runs on this machine by its id, and says what a name is instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.domain.catalog import Listed, LocalRunning
from headrace.domain.errors import InvalidRequest, NotFound
from headrace.domain.names import did_you_mean


def find_local(model_id: str, models: Mapping[str, Sequence[Listed]], verb: str) -> tuple[Listed, LocalRunning]:
    """Return the model's entry and how it runs; `verb` is what was to be done with its weights.

    Raises NotFound with the nearest name, InvalidRequest for a model that runs elsewhere.
    """
    entries = models.get(model_id)
    if entries is None:
        here = [name for name, each in models.items() if any(entry.model.local for entry in each)]
        hint = did_you_mean(model_id, here)
        raise NotFound(
            f'No model named "{model_id[:128]}". {hint or "`headrace models --all` lists them."}',
            code="model_not_found",
        )
    for entry in entries:
        if entry.model.local is not None:
            return entry, entry.model.local
    raise InvalidRequest(
        f'"{model_id}" does not run on this machine, so there is nothing to {verb}: its provider is '
        f'"{entries[0].model.provider}".',
        code=f"nothing_to_{verb}",
    )
