"""A server whose prompt scorer is the tests': `python -m tests.e2e.routing_server FOLDER serve --home ...`.

While FOLDER/away exists the scorer is away, as without weights. The product has no such switch.
"""

from __future__ import annotations

import sys
from pathlib import Path

from headrace.app import platform
from headrace.app.local_verbs import InstalledVerbs
from headrace.cli.command import run
from headrace.domain.conversation import Conversation
from headrace.domain.routing import Match, PromptFigures, TaskSet
from tests.fakes.scorer import NamingScorer

AWAY = "away"


class SwitchedScorer(NamingScorer):
    """The naming scorer, away while the file is there."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    async def match(self, tasks: TaskSet, conversation: Conversation) -> Match:
        self.is_away = self._file.exists()
        return await super().match(tasks, conversation)

    async def weigh(self, conversation: Conversation) -> tuple[PromptFigures, bytes]:
        self.is_away = self._file.exists()
        return await super().weigh(conversation)


def compose(folder: Path) -> None:
    """Put the scorer where the composition root finds its own."""
    if "make_scorer" not in vars(platform):
        raise AssertionError("the composition root has changed: nothing makes a scorer")

    def make_scorer(*_: object) -> SwitchedScorer:
        return SwitchedScorer(folder / AWAY)

    for module, name, part in ((platform, "make_scorer", make_scorer),):
        setattr(module, name, part)


if __name__ == "__main__":
    compose(Path(sys.argv[1]))
    sys.exit(run(sys.argv[2:], InstalledVerbs()))
