"""Answers questions about fit for models by name, off the event loop; judging is fitting's."""

from __future__ import annotations

from headrace.domain.catalog import Model
from headrace.domain.errors import InvalidRequest
from headrace.domain.fit import Fit, FitAsked, FitConfig
from headrace.domain.names import did_you_mean
from headrace.domain.snapshot import Snapshot
from headrace.ports.ambient import Offload
from headrace.services.fitting import Fitting
from headrace.services.snapshots import Snapshots


class FitQuestions:
    """Answers with the catalogue of the moment and the files as they are."""

    def __init__(self, snapshots: Snapshots, fitting: Fitting, offload: Offload) -> None:
        self._snapshots = snapshots
        self._fitting = fitting
        self._offload = offload

    async def answer(self, name: str, asked: FitAsked) -> tuple[Fit, ...]:
        """Return whether a model, by its name or an alias of it, fits as asked; raises InvalidRequest.

        Without an accelerator there is an answer for each of them.
        """
        model = model_named(name, self._snapshots.current())
        if not asked.accelerator:
            return await self._offload.run(self._fitting.judge_all, model, asked)
        return (await self._offload.run(self._fitting.judge, model, asked),)

    async def configs(self) -> tuple[FitConfig, ...]:
        """Return the machines that hold each model of the catalogue whose sizes are known."""
        models = [entry.model for entries in self._snapshots.current().models.values() for entry in entries]
        return await self._offload.run(self._fitting.configs, models)


def model_named(name: str, snapshot: Snapshot) -> Model:
    """Return the model of a name; one that runs here before one of a provider. Raises InvalidRequest."""
    alias = snapshot.aliases.get(name)
    entries = snapshot.models.get(name if alias is None or name in snapshot.models else alias.points_to)
    if not entries:
        hint = did_you_mean(name, (*snapshot.models, *snapshot.aliases))
        raise InvalidRequest(
            f'No model named "{name[:128]}". {hint or "`headrace models --all` lists them."}',
            code="model_not_found",
            param="model",
        )
    here = [each.model for each in entries if each.model.local is not None]
    return here[0] if here else entries[0].model
