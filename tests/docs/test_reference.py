"""Whatever a user can set, call, count or be refused with has its line in the documents, and nothing else has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import cast

import msgspec
import pytest

from headrace.cli.config import ConfigTables, DriversTable, LimitsTable, ServerTable
from headrace.cli.environment import VARIABLES
from headrace.domain import errors
from headrace.domain.settings import Limits
from headrace.drivers.catalogs.files import shipped_files
from headrace.http.control.app import ControlParts, control_routes
from headrace.http.hot_routes import HOT_ROUTES
from headrace.services.catalog import build_catalog
from tools.doc_tables import PLACE, TABLES, renewed

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/headrace"
DOCS = ROOT / "docs"
ROW = re.compile(r"^\| `([a-z0-9_]+)` \| ([^|]+?) \|", re.MULTILINE)
ROUTE = re.compile(r"^\| `([A-Z]+) ([^`]+)` \| (\w[\w ]*?) \|", re.MULTILINE)
PATH = re.compile(r"`((?:src|docs|tests|tools|benchmarks|changes|requirements|console|examples)/[\w./-]*)`")
NAME = re.compile(r"`([a-z][a-z_/]*\.py)(?::([A-Za-z_.]+))?`")
AUDIENCE = MappingProxyType({"admin": "admin", "own": "own", "public": "everybody"})
NAMED_CODES = MappingProxyType({"Cause": 1, "Availability": 1})


def read(name: str) -> str:
    """A document's text."""
    return (DOCS / name).read_text()


def codes_in(path: Path) -> Iterator[tuple[str, str]]:
    """Every stable code that a module gives out, with the name of the class that carries it."""
    tree = ast.parse(path.read_text())
    constants: dict[str, str] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            constants.update(_assigned(statement))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        given = [each.value for each in node.keywords if each.arg in ("code", "error_code")]
        place = NAMED_CODES.get(node.func.id)
        if place is not None and len(node.args) > place:
            given.append(node.args[place])
        for value in given:
            for text in _texts(value, constants):
                yield text, node.func.id


def _assigned(statement: ast.Assign) -> Iterator[tuple[str, str]]:
    target, value = statement.targets[0], statement.value
    pairs = [(target, value)]
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = list(zip(target.elts, value.elts, strict=True))
    for name, constant in pairs:
        if isinstance(name, ast.Name) and isinstance(constant, ast.Constant) and isinstance(constant.value, str):
            yield name.id, constant.value


def _texts(value: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.Name) and value.id in constants:
        yield constants[value.id]
    elif isinstance(value, ast.IfExp):
        yield from _texts(value.body, constants)
        yield from _texts(value.orelse, constants)


def error_classes() -> dict[str, type[errors.HeadraceError]]:
    """The tree of errors by class name."""
    return {
        name: each
        for name, each in vars(errors).items()
        if isinstance(each, type) and issubclass(each, errors.HeadraceError)
    }


def codes_by_status() -> dict[str, set[str]]:
    """Every code with the statuses that it comes with; none for codes that only receipts and catalogs show."""
    classes = error_classes()
    found: dict[str, set[str]] = {}
    for each in classes.values():
        if not issubclass(each, errors.OperatorError):
            found.setdefault(each.default_code, set()).add(str(each.status))
        else:
            found.setdefault(each.default_code, set()).add(f"exit {each.exit_status}")
    for path in SOURCE.rglob("*.py"):
        if "testing" in path.parts:
            continue
        for code, carrier in codes_in(path):
            statuses = found.setdefault(code, set())
            kind = classes.get(carrier)
            if kind is not None:
                operator = issubclass(kind, errors.OperatorError)
                statuses.add(f"exit {kind.exit_status}" if operator else str(kind.status))
    return found


def test_every_error_code_is_documented_with_its_status() -> None:
    documented: dict[str, set[str]] = {}
    for code, status in ROW.findall(read("errors.md")):
        documented.setdefault(code, set()).update(each.strip() for each in status.split(",") if each.strip() != "-")
    assert documented == codes_by_status()


def test_every_environment_variable_is_documented() -> None:
    text = read("configuration.md")
    named = set(re.findall(r"`(HEADRACE_[A-Z_]+)`", text))
    providers = build_catalog(shipped_files()).providers.values()
    keys = {each.key_variable for each in providers if each.key_variable}
    assert set(VARIABLES.values()) <= named
    assert all(f"`{key}`" in text for key in keys)
    assert named <= set(VARIABLES.values()) | {"HEADRACE_TEST_WEIGHTS"}


def test_every_setting_of_the_file_is_documented_with_its_default() -> None:
    text = read("configuration.md")
    documented = dict(ROW.findall(PLACE.sub("", text)))
    defaults = msgspec.structs.asdict(LimitsTable())
    assert defaults == {name: getattr(Limits(), name) for name in defaults}
    defaults |= msgspec.structs.asdict(DriversTable())
    assert documented == {
        name: "none" if value is None else f"{value:g}" if isinstance(value, float) else f"{value:,}"
        for name, value in defaults.items()
    }
    for each in ServerTable.__struct_fields__:
        assert f"`{each}`" in text
    for table in ConfigTables.__struct_fields__:
        assert f"[{table}]" in text


def test_the_example_configuration_is_right() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", read("configuration.md"), re.MULTILINE | re.DOTALL)
    tables = msgspec.toml.decode(example, type=ConfigTables) if example else ConfigTables()
    assert tables != ConfigTables()


def test_every_route_is_documented_with_who_may_call_it() -> None:
    class Anything:
        def __getattr__(self, name: str) -> object:
            return self

    served = {
        (spec.method, spec.path.replace(":path", ""), AUDIENCE[spec.audience.value])
        for spec in control_routes(cast("ControlParts", Anything()))
        if spec.audience is not None
    }
    served |= {("POST", each.path, "own") for each in HOT_ROUTES}
    assert set(ROUTE.findall(read("api.md"))) == served


def test_every_marked_table_is_up_to_date() -> None:
    marked: set[str] = set()
    for path in DOCS.glob("*.md"):
        text = path.read_text()
        marked |= {name for _, name, _ in PLACE.findall(text)}
        assert renewed(text) == text, f"{path.name} is stale: run `make generate`"
    assert marked == set(TABLES)


@pytest.mark.parametrize("document", sorted(DOCS.rglob("*.md")), ids=lambda path: path.relative_to(DOCS).as_posix())
def test_every_path_that_is_named_exists(document: Path) -> None:
    missing = [path for path in PATH.findall(document.read_text()) if not (ROOT / path).exists()]
    assert not missing


def test_every_file_and_name_of_the_architecture_page_exists() -> None:
    named = NAME.findall(read("architecture.md"))
    assert len(named) >= 40
    for path, name in named:
        file = SOURCE / path
        assert file.is_file(), path
        for part in name.split(".") if name else ():
            assert re.search(rf"(?:def|class) {part}\b", file.read_text()), f"{path}:{name}"


def test_every_module_is_in_a_folder_that_the_architecture_page_shows() -> None:
    text = read("architecture.md")
    folders = {path.parent.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py")}
    shown = {f"{each}/" for each in folders if each != "." and "migrations" not in each}
    assert {each for each in shown if each not in text} == set()


def test_every_document_is_in_the_index() -> None:
    index = read("README.md")
    for path in DOCS.glob("*.md"):
        assert path.name == "README.md" or f"({path.name})" in index


def test_every_decision_is_in_its_index() -> None:
    index = (DOCS / "decisions/README.md").read_text()
    for path in (DOCS / "decisions").glob("0*.md"):
        assert f"({path.name})" in index
        assert path.read_text().count("\n") <= 40
