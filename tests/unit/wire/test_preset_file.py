"""Files of tasks and routers: what is read, what changes what, and what no text file can show."""

import json
import tomllib
from importlib import resources
from typing import Any
from uuid import UUID

import jsonschema
import pytest

from headrace.domain.errors import ConfigInvalid
from headrace.domain.router import Policy, Preference, PresetTask, Router, Task
from headrace.drivers.catalogs.presets import shipped_presets
from headrace.wire.preset_file import PresetText, check_presets, preset_uuid, read_presets
from headrace.wire.preset_schema import router_schema_text, task_schema_text

TASK = """
slug = "refund"
name = "Refund"
category = "Support"
description = "The customer wants money back."
tags = ["money"]
models = ["one", "two"]
prefer = "cheapest"
examples = ["I want a refund."]
"""
ROUTER = """
slug = "desk"
display_name = "Desk"
short_description = "A support desk."
long_description = "A support desk, and all that comes to it."
fallback_models = ["tiny"]

[[policies]]
task_slug = "refund"
"""
SCHEMAS = {"task": "task.schema.json", "router": "router.schema.json"}


def task(text: str = TASK, name: str = "refund", file: str = "tasks/refund.toml") -> PresetText:
    return PresetText(file, name, "task", text.encode())


def router(text: str = ROUTER, name: str = "desk", file: str = "routers/desk.toml") -> PresetText:
    return PresetText(file, name, "router", text.encode())


def schema(name: str) -> dict[str, Any]:
    return json.loads(resources.files("headrace.catalog").joinpath(name).read_text(encoding="utf-8"))


def test_a_task_and_a_router_are_read() -> None:
    presets = read_presets([task(), router()])
    assert presets.tasks == {
        "refund": PresetTask(
            "refund",
            "Refund",
            "Support",
            "The customer wants money back.",
            ("I want a refund.",),
            ("one", "two"),
            ("money",),
            Preference.CHEAPEST,
        )
    }
    found = presets.routers["desk"]
    assert (found.slug, found.display_name, found.short_description) == ("desk", "Desk", "A support desk.")
    assert found.long_description == "A support desk, and all that comes to it."
    assert found.router == Router(
        uuid=preset_uuid("desk"),
        name="desk",
        description="A support desk.",
        policies=(Policy(Task("refund", "", preset=True), ("one", "two"), Preference.CHEAPEST),),
        fallbacks=("tiny",),
        source="preset",
    )


def test_what_a_task_can_leave_out() -> None:
    text = "".join(f"{line}\n" for line in TASK.splitlines() if not line.startswith(("tags", "prefer", "examples")))
    found = read_presets([task(text)]).tasks["refund"]
    assert (found.tags, found.prefer, found.examples) == ((), None, ())


def test_a_policy_s_own_pool_and_preference_go_before_the_task_s() -> None:
    text = f'{ROUTER}models = ["three"]\nprefer = "none"\n'
    assert read_presets([task(), router(text)]).routers["desk"].router.policies == (
        Policy(Task("refund", "", preset=True), ("three",), Preference.NONE),
    )


def test_a_later_file_changes_the_keys_that_it_gives() -> None:
    changes = [
        task('slug = "refund"\nmodels = ["mine"]\n', file="own/refund.toml"),
        router('slug = "desk"\nfallback_models = ["mine"]\n', file="own/desk.toml"),
    ]
    presets = read_presets([task(), router(), *changes])
    assert presets.tasks["refund"].models == ("mine",)
    assert presets.tasks["refund"].examples == ("I want a refund.",)
    found = presets.routers["desk"].router
    assert (found.fallbacks, found.policies[0].models) == (("mine",), ("mine",))
    assert found.uuid == preset_uuid("desk")


def test_what_is_wrong_is_found_in_the_file_that_says_it() -> None:
    own = router('slug = "desk"\n\n[[policies]]\ntask_slug = "refnd"\n', file="own/desk.toml")
    (found,) = check_presets([task(), router(), own])
    assert (found.file, found.line, found.path, found.fix) == (
        "own/desk.toml",
        4,
        "policies[0].task_slug",
        'Did you mean "refund"?',
    )
    (found,) = check_presets([task(), router(ROUTER.replace('"refund"', '"refnd"')), router('slug = "desk"\n')])
    assert (found.file, found.line) == ("routers/desk.toml", 9)


def test_everything_wrong_is_told_at_once_with_file_line_and_fix() -> None:
    texts = [task('slug = "refund"\nprefer = 7\n'), router(ROUTER + 'models = ["router:desk"]\n')]
    with pytest.raises(ConfigInvalid) as caught:
        read_presets(texts)
    assert str(caught.value) == "\n".join(each.render() for each in check_presets(texts))
    assert caught.value.extra == {"file": "routers/desk.toml", "line": 10}
    assert "tasks/refund.toml:2: prefer: 7 is not what belongs here" in str(caught.value)


def test_a_router_is_not_blamed_for_a_task_whose_file_is_wrong() -> None:
    found = check_presets([task(TASK.replace("name", "title")), router()])
    assert [each.file for each in found] == ["tasks/refund.toml"]


def test_bytes_that_are_not_utf8_are_found_where_they_are() -> None:
    (found,) = check_presets(
        [PresetText("tasks/refund.toml", "refund", "task", b'slug = "refund"\nname = "Caf\xe9"\n')]
    )
    assert (found.line, found.problem, found.fix) == (2, "byte 27 is not UTF-8", "Save the file as UTF-8.")


def test_a_file_that_ends_too_early_is_found_at_its_end() -> None:
    (found,) = check_presets([task('slug = "refund"\nexamples = [')])
    assert (found.line, found.path) == (2, "")
    assert found.problem.startswith("not valid TOML: ")


def test_line_ends_of_another_system_count_once() -> None:
    (found,) = check_presets([task(TASK.replace('"Refund"', "7").replace("\n", "\r\n"))])
    assert (found.line, found.path) == (3, "name")


def test_a_long_value_is_shown_cut() -> None:
    (found,) = check_presets([task(TASK.replace("Refund", "R" * 500))])
    assert found.problem == f'"{"R" * 80}…" is not what belongs here'


def test_a_router_has_at_most_so_many_policies() -> None:
    text = ROUTER + "".join(f'\n[[policies]]\ntask_slug = "t{number}"\n' for number in range(200))
    (found,) = check_presets([task(), router(text)])
    assert (found.path, found.problem) == ("policies", "has 201 tables")


def test_the_uuid_of_a_preset_is_one_and_stays() -> None:
    made = UUID(preset_uuid("general"))
    assert (made.version, made.variant, str(made)) == (8, "specified in RFC 4122", preset_uuid("general"))
    assert preset_uuid("general") == "8262f13a-5819-86ee-9b12-fe482ae8148b"
    assert preset_uuid("general") != preset_uuid("writing")


def test_the_schemas_in_the_package_are_those_of_the_types() -> None:
    assert schema("task.schema.json") == json.loads(task_schema_text())
    assert schema("router.schema.json") == json.loads(router_schema_text())


@pytest.mark.parametrize("text", [*shipped_presets(), task(), router()], ids=lambda each: each.file)
def test_every_file_is_valid_under_its_schema(text: PresetText) -> None:
    jsonschema.validate(tomllib.loads(text.data.decode()), schema(SCHEMAS[text.kind]))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('prefer = "cheapest"', 'prefer = "best"'),
        ('["one", "two"]', '["one", ""]'),
        ('["one", "two"]', "[]"),
        ('slug = "refund"', 'slug = "Refund"'),
        ("category", "categories"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(old: str, new: str) -> None:
    text = TASK.replace(old, new)
    assert check_presets([task(text)])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), schema("task.schema.json"))
