"""Each error here and its body in both dialects; a changed body is a changed contract."""

from pathlib import Path

import msgspec
import pytest

from headrace.domain import errors
from headrace.domain.errors import HeadraceError
from headrace.wire.errors import control_error_body, openai_error_body

FOLDER = Path(__file__).parent
CASES = sorted(FOLDER.glob("*.json"))


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An error of our tree, and what callers of the data plane and the control plane read."""

    kind: str
    message: str
    status: int
    openai: dict[str, object]
    control: dict[str, object]
    code: str | None = None
    param: str | None = None
    extra: dict[str, str | int | bool | None] = {}


def read_case(path: Path) -> Case:
    return msgspec.json.decode(path.read_bytes(), type=Case)


def error_of(case: Case) -> HeadraceError:
    kind: type[HeadraceError] = getattr(errors, case.kind)
    return kind(case.message, code=case.code, param=case.param, detail="private", extra=case.extra)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_an_error_has_the_bodies_beside_it(path: Path) -> None:
    case = read_case(path)
    error = error_of(case)
    assert error.status == case.status
    assert msgspec.json.decode(openai_error_body(error, "req_1")) == case.openai
    assert msgspec.json.decode(control_error_body(error, "req_1")) == case.control


def test_every_class_that_a_caller_can_meet_has_a_case() -> None:
    known = {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, HeadraceError)
    }
    bases = {"HeadraceError", "CallerError", "UpstreamError", "PlatformError"}
    operator = {each.__name__ for each in errors.OperatorError.__subclasses__()} | {"OperatorError"}
    assert known - bases - operator == {read_case(path).kind for path in CASES}
