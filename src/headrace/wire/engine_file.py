"""Reads engine files and names what is wrong with one; where they lie is a driver's, starting an engine too."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from headrace.domain.engine_command import SECRET_BLANK, SPEC_BLANKS, START_BLANKS, EngineCommand
from headrace.domain.finding import Finding, config_invalid
from headrace.domain.names import did_you_mean
from headrace.wire.converter import Converter
from headrace.wire.engine_schema import EngineTable
from headrace.wire.toml_form import TomlFile, read_toml
from headrace.wire.toml_lines import KeyPath

_TABLE = Converter(EngineTable)
_BLANK = re.compile(r"\{([^{}]*)\}")
_IN_ARGUMENTS = SPEC_BLANKS | START_BLANKS
_IN_ENVIRONMENT = _IN_ARGUMENTS | {SECRET_BLANK}


@dataclass(frozen=True, slots=True)
class EngineText:
    """An engine's file as it was read: its path as shown to the operator and its name without suffix."""

    file: str
    name: str
    data: bytes


def read_engines(texts: Iterable[EngineText]) -> tuple[EngineCommand, ...]:
    """Return the engines by name, a later file in the place of an earlier one; raises ConfigInvalid."""
    engines, findings = _read(texts)
    if findings:
        raise config_invalid(findings)
    return tuple(engines[name] for name in sorted(engines))


def check_engines(texts: Iterable[EngineText]) -> tuple[Finding, ...]:
    """Return everything wrong with the files, ordered by file and line."""
    return tuple(sorted(set(_read(texts)[1])))


def _read(texts: Iterable[EngineText]) -> tuple[dict[str, EngineCommand], list[Finding]]:
    engines: dict[str, EngineCommand] = {}
    findings: list[Finding] = []
    for text in texts:
        file = read_toml(text.file, text.data, _TABLE)
        wrong = list(file if isinstance(file, tuple) else _check(text, file))
        findings += wrong
        if not wrong and isinstance(file, TomlFile):
            engines[text.name] = _engine(file)
    return engines, findings


def _check(text: EngineText, file: TomlFile[EngineTable]) -> Iterator[Finding]:
    table = file.tables
    if table.name != text.name:
        fix = f'Rename the file to {table.name}.toml, or write name = "{text.name}".'
        yield file.finding(("name",), f'"{table.name}" is not the name of its file', fix)
    for key in ("arguments", "gpu_arguments"):
        values: Sequence[str] = getattr(table, key)
        for index, value in enumerate(values):
            yield from _check_blanks(file, (key, index), value, _IN_ARGUMENTS)
    for name, value in table.environment.items():
        yield from _check_blanks(file, ("environment", name), value, _IN_ENVIRONMENT)
    yield from _check_blanks(file, ("private_text",), table.private_text, _IN_ENVIRONMENT - {"private_file"})
    if not any("{port}" in each for each in (*table.arguments, *table.environment.values(), table.private_text)):
        fix = 'Write the option with {port}, like "--port", "{port}": each replica gets a port of its own.'
        yield file.finding(("arguments",), "nothing says on which port it listens", fix)
    if table.version_arguments and table.version is None:
        fix = 'Write version = "1.2.3", or leave version_arguments out.'
        yield file.finding(("version_arguments",), "there is no version to compare its output with", fix)
    if table.metrics and not table.metrics_path:
        yield file.finding(("metrics",), "nothing says where its metrics are", 'Write metrics_path = "/metrics".')


def _check_blanks(file: TomlFile[EngineTable], path: KeyPath, value: str, known: frozenset[str]) -> Iterator[Finding]:
    for blank in _BLANK.findall(value):
        if blank == SECRET_BLANK and blank not in known:
            fix = "Use {secret_file}, or {secret} in [environment] or private_text."
            yield file.finding(path, "arguments can be read by every user of the machine", fix)
        elif blank not in known:
            fix = did_you_mean(blank, known) or f"Known are: {', '.join(sorted(known))}."
            yield file.finding(path, f'"{{{blank}}}" is not a blank', fix)


def _engine(file: TomlFile[EngineTable]) -> EngineCommand:
    table = file.tables
    return EngineCommand(
        name=table.name,
        display_name=table.display_name,
        file=file.file,
        executable=table.executable,
        arguments=table.arguments,
        install=table.install,
        docs_url=table.docs_url,
        checked_on=table.checked_on.isoformat(),
        gpu_arguments=table.gpu_arguments,
        version=table.version or "",
        version_arguments=table.version_arguments,
        environment=tuple(table.environment.items()),
        pass_environment=table.pass_environment,
        private_text=table.private_text,
        base_path=table.base_path,
        probe=table.probe,
        metrics_path=table.metrics_path,
        figures={str(word): metric for word, metric in table.metrics.items()},
    )
