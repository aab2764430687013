"""Finds deployments of the server by their names, and follows one until it is up, or gone."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager

from headrace.cli.client import ApiClient, segment
from headrace.cli.deployment_text import standing_text
from headrace.cli.replies import moment, part, parts, text
from headrace.cli.session import Session
from headrace.domain.errors import HeadraceError, OperatorError
from headrace.domain.json_value import JsonObject

PATH = "/v2/dedicated-inferences"
POLL_SECONDS = 1.0
GONE = "deployment_not_found"


def find_deployment(client: ApiClient, name: str) -> JsonObject:
    """Return the deployment of a name or id; raises OperatorError with the server's words, which name the closest."""
    by_id = f"{PATH}/{segment(name)}"
    named = parts(client.get(PATH, "admin", {"name": name, "page": 1, "per_page": 1}), "dedicated_inferences")
    return named[0] if named else part(client.get(by_id, "admin"), "dedicated_inference")


def path_of(deployment: JsonObject) -> str:
    """Return the path of one deployment."""
    return f"{PATH}/{text(deployment, 'id')}"


class Following:
    """Looks at one deployment again and again, and notes what changes; `timeout_seconds` bounds it."""

    def __init__(self, client: ApiClient, session: Session, deployment: JsonObject, timeout_seconds: int) -> None:
        self._client = client
        self._session = session
        self._latest = deployment
        self._left = timeout_seconds / POLL_SECONDS
        self._said = ""

    def until_active(self) -> JsonObject:
        """Return the deployment once it is active; raises OperatorError with the reason when it does not come to it."""
        with self._left_alone():
            while True:
                latest = self._look()
                if text(latest, "status") == "active":
                    return latest
                if text(latest, "status") == "error":
                    raise OperatorError(_failed(latest), code="deployment_failed")
                self._pause(lambda: f"{self._named} is not active yet{_why(self._latest)}. {self._see}")

    def until_gone(self) -> None:
        """Return when the deployment is forgotten; raises OperatorError when it takes too long."""
        try:
            with self._left_alone():
                while True:
                    self._look()
                    self._pause(lambda: f"{self._named} is still being deleted{_why(self._latest)}. {self._see}")
        except HeadraceError as error:
            if error.code != GONE:
                raise

    @contextmanager
    def _left_alone(self) -> Generator[None]:
        """Whoever stops waiting with Ctrl-C is told that only the waiting has stopped."""
        try:
            yield
        except KeyboardInterrupt:
            self._session.note(self._see)
            raise

    @property
    def _named(self) -> str:
        return text(self._latest, "name")

    @property
    def _see(self) -> str:
        return f"It goes on without this command: look with `headrace deployments show {self._named}`."

    def _look(self) -> JsonObject:
        path = path_of(self._latest)
        self._latest = part(self._client.get(path, "admin"), "dedicated_inference")
        standing = self._client.get(f"{path}/standing", "admin")
        line = f"{self._named}: {text(self._latest, 'status')}, {standing_text(standing)}{_why(self._latest)}"
        if line != self._said:
            self._said = line
            self._session.note(line)
        return self._latest

    def _pause(self, complaint: Callable[[], str]) -> None:
        if self._left <= 0:
            raise OperatorError(complaint(), code="timeout")
        self._left -= 1
        self._session.sleep(POLL_SECONDS)


def _why(deployment: JsonObject) -> str:
    reason = text(deployment, "reason")
    return f": {reason.rstrip('.')}" if reason else ""


def _failed(deployment: JsonObject) -> str:
    name, retry = text(deployment, "name"), text(deployment, "retry_at")
    again = f" It is tried again at {moment(retry)}." if retry else ""
    return f"{name} did not come up{_why(deployment)}.{again} Its log: `headrace deployments logs {name}`"
