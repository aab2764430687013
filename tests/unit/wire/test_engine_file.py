"""Engine files: what they become, and what is refused with place and fix."""

import json
from importlib import resources

import pytest

from headrace.domain.engine_command import ProbeKind
from headrace.domain.errors import ConfigInvalid
from headrace.wire.engine_file import EngineText, check_engines, read_engines
from headrace.wire.engine_schema import schema_text

WHOLE = """\
name = "mine"
display_name = "Mine"
docs_url = "https://example.com/mine"
checked_on = 2026-11-28
install = "pip install mine"
executable = "mine"
arguments = ["--port", "{port}", "--model={model}"]
"""


def text(data: str, name: str = "mine") -> EngineText:
    return EngineText(f"engines/{name}.toml", name, data.encode())


def findings(data: str, name: str = "mine") -> list[tuple[int, str, str, str]]:
    return [(each.line, each.path, each.problem, each.fix) for each in check_engines([text(data, name)])]


def test_the_least_file_has_the_usual_api() -> None:
    (engine,) = read_engines([text(WHOLE)])
    assert (engine.name, engine.file, engine.executable) == ("mine", "engines/mine.toml", "mine")
    assert engine.arguments == ("--port", "{port}", "--model={model}")
    assert (engine.base_path, engine.probe, engine.version, engine.checked_on) == (
        "/v1",
        ProbeKind.COMPLETIONS,
        "",
        "2026-11-28",
    )
    assert (engine.environment, engine.figures, engine.private_text) == ((), {}, "")


def test_a_whole_file_is_read() -> None:
    more = (
        'version = "1.2"\nversion_arguments = ["--version"]\ngpu_arguments = ["--tp", "{gpus}"]\nbase_path = ""\n'
        'probe = "chat"\nmetrics_path = "/metrics"\nprivate_text = "key: {secret}"\npass_environment = ["HF_HOME"]\n'
        '[environment]\nKEY = "{secret}"\n[metrics]\nrunning = "a:b"\n'
    )
    (engine,) = read_engines([text(WHOLE + more)])
    assert (engine.version, engine.version_arguments, engine.gpu_arguments) == (
        "1.2",
        ("--version",),
        ("--tp", "{gpus}"),
    )
    assert (engine.base_path, engine.probe, engine.private_text) == ("", ProbeKind.CHAT, "key: {secret}")
    assert (engine.environment, engine.pass_environment) == ((("KEY", "{secret}"),), ("HF_HOME",))
    assert (engine.metrics_path, engine.figures) == ("/metrics", {"running": "a:b"})


def test_a_later_file_stands_in_the_place_of_an_earlier_one() -> None:
    own = text(WHOLE.replace('"Mine"', '"Own"'))
    engines = read_engines([text(WHOLE), text(WHOLE.replace('"mine"', '"other"', 1), "other"), own])
    assert [(each.name, each.display_name) for each in engines] == [("mine", "Own"), ("other", "Mine")]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (('name = "mine"', 'name = "yours"'), (1, "name", '"yours" is not the name of its file')),
        (("{model}", "{modl}"), (7, "arguments[2]", '"{modl}" is not a blank')),
        (("{model}", "{secret}"), (7, "arguments[2]", "arguments can be read by every user of the machine")),
        (("{port}", "8000"), (7, "arguments", "nothing says on which port it listens")),
        (('"mine"\narg', '"mine; rm"\narg'), (6, "executable", '"mine; rm" is not what belongs here')),
    ],
)
def test_what_is_wrong_is_named_with_its_place(change: tuple[str, str], found: tuple[int, str, str]) -> None:
    (only,) = findings(WHOLE.replace(*change))
    assert only[:3] == found
    assert only[3]


@pytest.mark.parametrize(
    ("more", "path", "problem"),
    [
        ('version_arguments = ["-V"]\n', "version_arguments", "there is no version to compare its output with"),
        ('[metrics]\nrunning = "x"\n', "metrics", "nothing says where its metrics are"),
        ('[environment]\nKEY = "{other}"\n', "environment.KEY", '"{other}" is not a blank'),
        ('private_text = "{private_file}"\n', "private_text", '"{private_file}" is not a blank'),
        ('gpu_arguments = ["{gpu}"]\n', "gpu_arguments[0]", '"{gpu}" is not a blank'),
    ],
)
def test_what_is_wrong_further_down_is_named_too(more: str, path: str, problem: str) -> None:
    assert [each[1:3] for each in findings(WHOLE + more)] == [(path, problem)]


def test_a_guess_helps_and_a_bad_file_is_refused() -> None:
    assert findings(WHOLE.replace("{model}", "{modl}"))[0][3] == 'Did you mean "model"?'
    with pytest.raises(ConfigInvalid, match=r"engines/mine\.toml:1: not valid TOML"):
        read_engines([text("name =")])


def test_the_shipped_schema_is_made_of_the_types() -> None:
    shipped = resources.files("headrace.catalog").joinpath("engine.schema.json").read_text()
    assert shipped == schema_text()
    assert json.loads(shipped)["title"] == "Headrace engine file"
