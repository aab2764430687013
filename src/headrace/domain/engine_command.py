"""Engines as commands: what a file says of an OpenAI-compatible server that is started; starting is a driver's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class ProbeKind(StrEnum):
    """What an engine is asked for to prove that it works."""

    COMPLETIONS = "completions"
    CHAT = "chat"
    EMBEDDINGS = "embeddings"


# What the values of a deployment are called in a command; an argument may hold several.
SPEC_BLANKS = frozenset({"model", "model_id", "name", "context_length", "slots", "gpus"})
# What only the start of a process knows.
START_BLANKS = frozenset({"port", "devices", "secret_file", "private_file"})
# The secret itself: it never stands in an argument, where every user of the machine could read it.
SECRET_BLANK = "secret"  # noqa: S105 - the name of a blank


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """A server that is started by a command, as its file says; blanks like `{port}` are filled in at a start.

    `arguments` follow the executable, `gpu_arguments` only where a replica has accelerators. `environment` is set,
    `pass_environment` names what is taken over. `private_text` becomes a file that only this user can read.
    `version` is the one that the file was written for, and what the output of `version_arguments` must hold. `figures`
    maps our words for load to the engine's metrics at `metrics_path`.
    """

    name: str
    display_name: str
    file: str
    executable: str
    arguments: tuple[str, ...]
    install: str
    docs_url: str
    checked_on: str
    gpu_arguments: tuple[str, ...] = ()
    version: str = ""
    version_arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    pass_environment: tuple[str, ...] = ()
    private_text: str = ""
    base_path: str = "/v1"
    probe: ProbeKind = ProbeKind.COMPLETIONS
    metrics_path: str = ""
    figures: Mapping[str, str] = field(default_factory=dict[str, str])
