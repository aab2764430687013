"""House rules that no linter knows: sizes, nesting, names, module state, suppressions, foreign addresses."""

import ast
import io
import re
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.source_files import CODE, text_files

ROOT = Path(__file__).resolve().parent.parent
MODULE_LINES, TEST_MODULE_LINES, FUNCTION_LINES, NESTING = 400, 800, 50, 3

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
MUTABLE_CALLS = frozenset({"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"})
READ_ONLY = re.compile(r"\b(Mapping|Sequence|Set|AbstractSet|Collection|Iterable)\b")
VAGUE_MODULE = re.compile(r"(utils?|helpers?|common|managers?|misc|base2|experimental|\w+_v\d+)")
SUPPRESSION = re.compile(r"#\s*(?:noqa\b(?P<noqa>.*)|(?:type|pyright):\s*ignore(?P<types>.*))")
REASONED = re.compile(r":?\s*(?:\[[\w\s,-]+\]|[A-Z]+\d+\b(?:\s*,\s*[A-Z]+\d+\b)*)\s*[-:(]?\s*\w+")
BANNER = re.compile(r"#\s*[-=*#~_]{4,}|#.*[-=*#~_]{6,}\s*$")
UNFINISHED = re.compile(r"#\s*(?:TODO|FIXME|XXX|HACK)\b(?!.*#\d)")
CONVERTER = "src/headrace/wire/converter.py"
DESCRIBES = re.compile(r"(msgspec\.)?(convert|((json|msgpack|toml|yaml)\.)?Decoder|Converter)")
DECODES = re.compile(r"(msgspec\.)?(json|msgpack|toml|yaml)\.decode")

# A character class in each word keeps this file from containing what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.~}$)*/-])/(?:[w]ork|[r]oot)/\w|/[t]mp/lab|/[h]ome/\w+/|/[U]sers/\w+/")
REGISTRY_HOST = re.compile(
    r"\b[p]ypi\.org|[p]ythonhosted|[n]pmjs\.(?:org|com)|//[\w.-]*(?:[a]rtifactory|[n]exus|[j]frog)[\w.-]*",
    re.IGNORECASE,
)
ADDRESS = re.compile(r"\w+://|--(?:index-url|extra-index-url|find-links|trusted-host)|\bgit\+| @ ")


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken rule at a place."""

    path: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What pyproject.toml and the catalogue add to the rules."""

    long_modules: frozenset[str]
    driver_names: frozenset[str]


def load_rules(root: Path) -> Rules:
    """Read `[tool.headrace.shape]` and the names in the catalogue's providers and engines."""
    with (root / "pyproject.toml").open("rb") as file:
        shape: dict[str, Any] = tomllib.load(file)["tool"]["headrace"]["shape"]
    catalog = root / "src/headrace/catalog"
    names = {path.stem for kind in ("providers", "engines") for path in (catalog / kind).glob("*.toml")}
    return Rules(frozenset(shape["long-modules"]), frozenset(names) - frozenset(shape["format-names"]))


def check_module(path: str, text: str, rules: Rules) -> Iterator[Finding]:
    """Yield every rule that one Python file breaks; `path` is relative to the root, with slashes."""
    limit = TEST_MODULE_LINES if path.startswith("tests/") else MODULE_LINES
    lines = text.count("\n")
    if lines > limit and path not in rules.long_modules:
        yield Finding(path, lines, f"module of {lines} lines: at most {limit}; split it by what it owns")
    if VAGUE_MODULE.fullmatch(Path(path).stem):
        yield Finding(path, 1, f'"{Path(path).stem}" says nothing: name the module after what it owns')
    tree = ast.parse(text, path)
    yield from check_functions(path, tree)
    yield from check_comments(path, text)
    if path.startswith("src/"):
        yield from check_state(path, tree)
        yield from check_driver_names(path, tree, rules.driver_names)
        yield from check_described(path, tree)


def check_functions(path: str, tree: ast.Module) -> Iterator[Finding]:
    """Yield functions that are too long or too deep."""
    for node in ast.walk(tree):
        if not isinstance(node, FUNCTIONS):
            continue
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES:
            yield Finding(path, node.lineno, f"{node.name} has {length} lines: at most {FUNCTION_LINES}")
        depth = nesting(node.body)
        if depth > NESTING:
            yield Finding(path, node.lineno, f"{node.name} nests {depth} blocks deep: at most {NESTING}")


def nesting(body: list[ast.stmt]) -> int:
    """Return the deepest run of blocks inside one another; `elif` and nested functions start no level."""
    return max((block_depth(statement) for statement in body), default=0)


def block_depth(statement: ast.stmt) -> int:
    """Return how deep one statement nests, itself included when it is a block."""
    if not isinstance(statement, BLOCKS):
        return 0
    if isinstance(statement, ast.Match):
        return 1 + max(nesting(case.body) for case in statement.cases)
    inner = [nesting(statement.body)]
    if isinstance(statement, ast.If) and len(statement.orelse) == 1 and isinstance(statement.orelse[0], ast.If):
        return max(1 + inner[0], block_depth(statement.orelse[0]))
    if isinstance(statement, ast.Try | ast.TryStar):
        inner += [nesting(handler.body) for handler in statement.handlers] + [nesting(statement.finalbody)]
    if not isinstance(statement, ast.With | ast.AsyncWith):
        inner.append(nesting(statement.orelse))
    return 1 + max(inner)


def check_state(path: str, tree: ast.Module) -> Iterator[Finding]:
    """Yield module-level names bound to something that can change, and `global` statements."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names, annotation = [ast.unparse(target) for target in node.targets], ""
        elif isinstance(node, ast.AnnAssign):
            names, annotation = [ast.unparse(node.target)], ast.unparse(node.annotation)
        else:
            continue
        if names != ["__all__"] and is_mutable(node.value) and not READ_ONLY.search(annotation):
            yield Finding(
                path,
                node.lineno,
                f"{names[0]} is module-level mutable state: use a tuple, a frozenset or MappingProxyType, "
                "or annotate it as Mapping or Sequence",
            )
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield Finding(path, node.lineno, "`global` is module-level mutable state: pass the value in")


def is_mutable(value: ast.expr | None) -> bool:
    """Tell whether an expression builds a list, dict or set."""
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).rpartition(".")[2] in MUTABLE_CALLS
    return isinstance(value, MUTABLE)


def check_described(path: str, tree: ast.Module) -> Iterator[Finding]:
    """Yield types that msgspec would first describe in a function, where two threads may do it at once and crash."""
    if path == CONVERTER:
        return
    inside = {
        id(node): node for function in ast.walk(tree) if isinstance(function, FUNCTIONS) for node in ast.walk(function)
    }
    for node in inside.values():
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if DESCRIBES.fullmatch(called) or (
            DECODES.fullmatch(called) and any(each.arg == "type" for each in node.keywords)
        ):
            yield Finding(
                path, node.lineno, f"{called} describes a type: make a Decoder or Converter at the module's level"
            )


def check_driver_names(path: str, tree: ast.Module, names: frozenset[str]) -> Iterator[Finding]:
    """Yield uses of a provider's or engine's name outside its own file and the catalogue."""
    if path.startswith(("src/headrace/catalog/", "src/headrace/testing/")):
        return
    others = {name for name in names if not owns(path, name)}
    for node in ast.walk(tree):
        for word in words_of(node):
            if word in others:
                yield Finding(
                    path,
                    getattr(node, "lineno", 1),
                    f'"{word}" names a driver: it belongs in its own file and the catalogue',
                )


def owns(path: str, name: str) -> bool:
    """Tell whether a file is the driver's own: drivers/<kind>/<name>.py, or below drivers/<kind>/<name>/."""
    parts = Path(path).parts
    return "drivers" in parts and any(Path(part).stem == name.replace("-", "_") for part in parts)


def words_of(node: ast.AST) -> tuple[str, ...]:
    """Return the names and whole string constants that a node carries."""
    match node:
        case ast.Constant(value=str(text)):
            return (text,)
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            return (name,)
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return (name,)
        case _:
            return ()


def check_comments(path: str, text: str) -> Iterator[Finding]:
    """Yield suppressions without rule and reason, banners, and to-dos without an issue."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        line, comment = token.start[0], token.string
        suppression = SUPPRESSION.search(comment)
        if suppression and not REASONED.match(suppression["noqa"] or suppression["types"] or ""):
            yield Finding(path, line, "a suppression names its rule and a reason: `# noqa: S603 - fixed command`")
        if BANNER.search(comment):
            yield Finding(path, line, "no banner comments")
        if UNFINISHED.search(comment):
            yield Finding(path, line, "no to-do without the number of its issue")


def check_text(path: str, text: str) -> Iterator[Finding]:
    """Yield paths of somebody's machine and addresses of package registries, in any text file."""
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, what in (
            (MACHINE_PATH, "a path of one machine"),
            (REGISTRY_HOST, "a registry's host name"),
        ):
            found = pattern.search(line)
            if found:
                yield Finding(path, number, f'"{found.group()}" is {what}: leave it out')
        if path.startswith("requirements/") and not line.startswith("#") and ADDRESS.search(line):
            yield Finding(path, number, "requirement files hold names, versions and hashes, no address")


def check_tree(root: Path) -> Iterator[Finding]:
    """Yield the findings of all files below `root`."""
    rules = load_rules(root)
    for name in text_files(root):
        text = (root / name).read_text(encoding="utf-8")
        yield from check_text(name, text)
        if name.endswith(".py") and name.split("/")[0] in CODE:
            yield from check_module(name, text, rules)


def main() -> int:
    """Print every finding and return the exit status."""
    findings = list(check_tree(ROOT))
    for finding in findings:
        sys.stdout.write(f"{finding.path}:{finding.line}: {finding.message}\n")
    return 1 if findings else 0


if __name__ == "__main__":
    raise SystemExit(main())
