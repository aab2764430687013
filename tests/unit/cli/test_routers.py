"""`headrace routers`: what it asks the server, what it says, and where a file is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import cast

import httpx2
import pytest

from headrace.domain.json_value import JsonObject, JsonValue
from tests.unit.cli.command_line import CommandLine

PATH = "/v2/gen-ai/models/routers"
ALL = "page=1&per_page=200"
UUID = "0199ab00-0000-7000-8000-000000000001"
POLICIES: list[JsonValue] = [
    {
        "custom_task": {"name": "refund", "description": 'Says "give it back"', "examples": ["a\nb", "Ünï"]},
        "models": ["tiny", "acme/chat:large"],
        "selection_policy": {"prefer": "cheapest"},
    },
    {
        "task_slug": "bug-fixing",
        "examples": ["It crashes."],
        "models": ["tiny"],
        "selection_policy": {"prefer": "none"},
    },
    {"task_slug": "summarization", "models": ["tiny"]},
]
SUPPORT: JsonObject = {
    "uuid": UUID,
    "name": "support",
    "description": "Desk",
    "regions": ["all"],
    "config": {"policies": POLICIES, "fallback_models": ["tiny", "acme/chat:large"]},
    "created_at": "2026-11-24T12:00:00.000000Z",
    "updated_at": "2026-11-25T12:00:00.000000Z",
    "min_score": 0.6,
    "max_cost_usd": "0.01",
}
LEAST: JsonObject = {
    "uuid": UUID.replace("1", "2"),
    "name": "least",
    "description": "",
    "config": {"policies": [{"task_slug": "summarization", "models": ["tiny"]}], "fallback_models": ["tiny"]},
    "created_at": "2026-11-24T12:00:00.000000Z",
    "updated_at": "2026-11-24T12:00:00.000000Z",
}
FILE = """
name = "support"
fallback_models = ["tiny"]

[[policies]]
task_slug = "bug-fixing"
models = [
    "tiny",
]

[[policies]]
models = ["tiny"]
[policies.custom_task]
name = "refund"
description = "Money back"
"""


def listed(*routers: JsonObject) -> JsonObject:
    found: list[JsonValue] = list(routers)
    return {"model_routers": found, "meta": {"total": len(found), "page": 1, "pages": 1}, "links": {"pages": {}}}


def knowing(*routers: JsonObject) -> CommandLine:
    return CommandLine().answers(f"GET {PATH}?{ALL}", listed(*routers))


def saved(folder: Path, text: str) -> str:
    path = folder / "support.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_routers_are_listed_with_tasks_and_pools() -> None:
    ran = knowing(LEAST, SUPPORT)("routers", "list")
    assert ran.out == (
        "ROUTER          TASK           POOL                   PREFER\n"
        "router:least    summarization  tiny\n"
        "                (no task)      tiny\n"
        "router:support  refund         tiny, acme/chat:large  cheapest\n"
        "                bug-fixing     tiny\n"
        "                summarization  tiny\n"
        "                (no task)      tiny, acme/chat:large\n"
    )
    assert knowing(SUPPORT)("routers", "list", "--json").json == {**listed(SUPPORT), "meta": {"total": 1}}
    assert knowing()("routers", "list").out.startswith("There is no router. Make one: headrace routers create")


def test_of_a_router_with_many_tasks_the_first_are_listed() -> None:
    policies: list[JsonValue] = [{"task_slug": f"t{n}", "models": ["tiny"]} for n in range(12)]
    ran = knowing({**LEAST, "config": {"policies": policies, "fallback_models": ["tiny"]}})("routers", "list")
    assert "t7 " in ran.out and "t8" not in ran.out
    assert "… and 4 more" in ran.out


def test_of_a_long_pool_the_first_models_are_listed_and_all_are_shown() -> None:
    pools: list[JsonValue] = [list[JsonValue]("abcd"), list[JsonValue]("efghi")]
    policies: list[JsonValue] = [{"task_slug": "t", "models": each} for each in pools]
    line = knowing({**LEAST, "config": {"policies": policies, "fallback_models": ["f"]}})
    listed_pools = line("routers", "list").out
    assert "a, b, c, d\n" in listed_pools and "e, f, g and 2 more\n" in listed_pools
    assert "e, f, g, h, i" in line("routers", "show", "least").out


def test_every_page_is_read() -> None:
    first: JsonObject = {**listed(LEAST), "meta": {"total": 2, "page": 1, "pages": 2}}
    line = CommandLine().answers(f"GET {PATH}?{ALL}", first)
    line.answers(f"GET {PATH}?page=2&per_page=200", listed(SUPPORT))
    assert line("routers", "list", "--json").json == {**listed(LEAST, SUPPORT), "meta": {"total": 2}}
    assert set(line.api.credentials) == {"hr_admin"}


@pytest.mark.parametrize("name", ["support", "router:support", UUID])
def test_a_router_is_shown(name: str) -> None:
    ran = knowing(LEAST, SUPPORT)("routers", "show", name)
    assert ran.out == (
        f"router:support  {UUID}\n"
        "Desk\n"
        "\n"
        "TASK           POOL                   PREFER    EXAMPLES\n"
        "refund         tiny, acme/chat:large  cheapest         2\n"
        "bug-fixing     tiny                                    1\n"
        "summarization  tiny\n"
        "(no task)      tiny, acme/chat:large\n"
        "\n"
        "A task matches from a score of 0.6 on.\n"
        "A model that would cost over $0.01 for a request is left out.\n"
        "Made 2026-11-24 12:00:00 UTC, changed 2026-11-25 12:00:00 UTC.\n"
    )
    assert knowing(SUPPORT)("routers", "show", name, "--json").json == {"model_router": SUPPORT}


def test_a_router_without_limits_is_shown_without_them() -> None:
    out = knowing(LEAST)("routers", "show", "least").out
    assert "score" not in out and "cost" not in out


@pytest.mark.parametrize("verb", ["show", "export", "delete"])
def test_a_router_that_is_not_there_is_told_with_the_closest(verb: str) -> None:
    ran = knowing(LEAST, SUPPORT)("routers", verb, "suport")
    assert (ran.status, ran.err) == (1, 'headrace: No router named "suport".\n  Did you mean "support"?\n')
    assert "`headrace routers list` lists them." in knowing()("routers", verb, "x").err


def test_a_router_is_made_by_hand_in_the_order_of_its_flags() -> None:
    line = CommandLine().answers(f"POST {PATH}", {"model_router": SUPPORT})
    ran = line(
        "routers", "create", "support",
        "--task", "refund: customer disputes: a charge", "--pool", "a, b", "--prefer", "cheapest",
        "--example", "You charged me twice!", "--pool", "c", "--example=Money, back",
        "--fallback", "f",
        "--task", "bug-fixing", "--pool", "d", "--example", "Why?",
        "--fallback", "g,h", "--description", "Desk", "--min-score", "0.5", "--max-cost-usd", "0.01",
    )  # fmt: skip
    assert (ran.status, ran.out) == (0, "router:support is live.\n")
    assert line.api.last_body == {
        "name": "support",
        "description": "Desk",
        "min_score": 0.5,
        "max_cost_usd": "0.01",
        "policies": [
            {
                "custom_task": {
                    "name": "refund",
                    "description": "customer disputes: a charge",
                    "examples": ["You charged me twice!", "Money, back"],
                },
                "models": ["a", "b", "c"],
                "selection_policy": {"prefer": "cheapest"},
            },
            {"task_slug": "bug-fixing", "models": ["d"], "examples": ["Why?"]},
        ],
        "fallback_models": ["f", "g", "h"],
    }


@pytest.mark.parametrize("flag", ["--pool", "--prefer", "--example"])
def test_a_flag_of_a_task_comes_after_its_task(flag: str) -> None:
    line = CommandLine()
    ran = line("routers", "create", "support", flag, "x", "--task", "bug-fixing")
    assert (ran.status, ran.err) == (2, f"headrace: {flag} x: there is no --task before it.\n  Give the task first.\n")
    assert line.api.requests == []


def test_what_the_server_refuses_is_told() -> None:
    refused: JsonObject = {"id": "task_not_found", "message": 'No task. Did you mean "bug-fixing"?', "request_id": "r"}
    ran = CommandLine().answers(f"POST {PATH}", refused, 400)("routers", "create", "support", "--task", "bugs")
    assert (ran.status, ran.err) == (1, 'headrace: No task.\n  Did you mean "bug-fixing"?\n')


def test_a_file_makes_a_router_or_replaces_it(tmp_path: Path) -> None:
    body = tomllib.loads(FILE)
    new = knowing(LEAST).answers(f"POST {PATH}", {"model_router": SUPPORT})
    assert new("routers", "apply", saved(tmp_path, FILE)).out == "router:support is live.\n"
    assert new.api.last_body == body
    old = knowing(SUPPORT).answers(f"PUT {PATH}/{UUID}", {"model_router": SUPPORT})
    assert old("routers", "apply", saved(tmp_path, FILE)).out == "router:support is replaced.\n"
    assert old.api.last_body == body
    assert old.api.asked[-1] == f"PUT {PATH}/{UUID}"


def test_what_is_exported_is_applied_again(tmp_path: Path) -> None:
    text = knowing(SUPPORT)("routers", "export", "support").out
    assert text.startswith('name = "support"\ndescription = "Desk"\nmin_score = 0.6\nmax_cost_usd = "0.01"\n')
    assert 'examples = [\n    "a\\nb",\n    "Ünï",\n]\n' in text
    line = knowing(SUPPORT).answers(f"PUT {PATH}/{UUID}", {"model_router": SUPPORT})
    assert line("routers", "apply", saved(tmp_path, text)).status == 0
    given = {name: SUPPORT[name] for name in ("name", "description", "min_score", "max_cost_usd")}
    assert line.api.last_body == {**given, **cast("JsonObject", SUPPORT["config"])}
    assert knowing(LEAST)("routers", "export", "least").out == (
        'name = "least"\nfallback_models = ["tiny"]\n\n[[policies]]\ntask_slug = "summarization"\nmodels = ["tiny"]\n'
    )
    assert knowing(LEAST)("routers", "export", "least", "--json").json == {"model_router": LEAST}


@pytest.mark.parametrize(
    ("written", "place", "said"),
    [
        ("name = 'x'\nname = 'y'\n", "2", "this is not TOML: Cannot overwrite a value."),
        ("name = 'x", "1", "this is not TOML"),
        ("name = 5\n", "1: name", '"name" must be a string, not 5.'),
        ("\n\nnam = 'x'\n", "3: nam", 'The field "nam" is not known.'),
        ("'' = 1\n", "1", 'The field "" is not known.'),
        ("min_score = nan\n", "1: min_score", "must be a number from 0 to 1"),
        ("\nmax_cost_usd = 1979-05-27\n", "2: max_cost_usd", "must be US dollars"),
        ("x = 1\n", "1: x", 'The field "x" is not known.'),
        ("description = 'x'\n", "1: name", "it is missing."),
        (f"{FILE}examples = [1]\n", "16: policies[1].custom_task.examples[0]", "must be a string, not 1."),
        (f"{FILE}\n[[policies]]\nmodels = []\nmodles = []\n", "19: policies[2].modles", 'Did you mean "models"?'),
        (f"{FILE}\n[[policies]]\nselection_policy = 5\n", "18: policies[2].selection_policy", "must be an object"),
        ("name = '" + "x" * 1_048_576 + "'", "", "a router has at most 1048576."),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_told_with_line_and_key(tmp_path: Path, written: str, place: str, said: str) -> None:
    line = CommandLine()
    ran = line("routers", "apply", saved(tmp_path, written))
    assert ran.status == 2
    assert said in ran.err
    assert f"support.toml{f':{place}: ' if place else ''}" in ran.err
    assert line.api.requests == []


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    ran = CommandLine()("routers", "apply", str(tmp_path / "none.toml"))
    assert (ran.status, "none.toml cannot be read: No such file or directory." in ran.err) == (2, True)
    assert "Name a file as `headrace routers export` prints it." in ran.err
    (tmp_path / "latin.toml").write_bytes(b"name = 'x'\ndescription = '\xe4'\n")
    ran = CommandLine()("routers", "apply", str(tmp_path / "latin.toml"))
    assert (ran.status, "latin.toml:2: this is not UTF-8: byte 26 is wrong." in ran.err) == (2, True)


def test_a_router_without_a_task_is_not_asked_for() -> None:
    line = CommandLine()
    ran = line("routers", "create", "support")
    assert (ran.status, "create support --task SLUG --pool MODEL" in ran.err, line.api.requests) == (2, True, [])


@pytest.mark.parametrize(
    ("param", "place"),
    [
        ("policies[0].models[0]", "7"),
        ("policies[1].custom_task.name", "14"),
        ("fallback_models[0]", "3"),
        ("name", "2"),
    ],
)
def test_what_the_server_says_of_a_field_is_told_with_its_line(tmp_path: Path, param: str, place: str) -> None:
    refused: JsonObject = {"id": "model_not_found", "message": "No model.", "request_id": "r", "param": param}
    line = knowing().answers(f"POST {PATH}", refused, 400)
    ran = line("routers", "apply", saved(tmp_path, FILE))
    assert (ran.status, f"support.toml:{place}: {param}: No model." in ran.err) == (2, True)
    shown = knowing().answers(f"POST {PATH}", refused, 400)("routers", "apply", saved(tmp_path, FILE), "--json").json
    error = cast("JsonObject", cast("JsonObject", shown)["error"])
    assert (error["code"], error["param"], error["line"]) == ("model_not_found", param, int(place))


def test_what_the_server_says_of_something_else_is_told_as_it_is(tmp_path: Path) -> None:
    refused: JsonObject = {"id": "admin_required", "message": "Use the admin token.", "request_id": "r"}
    ran = knowing().answers(f"POST {PATH}", refused, 403)("routers", "apply", saved(tmp_path, FILE))
    assert (ran.status, ran.err) == (1, "headrace: Use the admin token.\n")
    line = knowing()
    line.api.replies[f"POST {PATH}"] = httpx2.Response(200, text="hello")
    assert "not like a Headrace server" in line("routers", "apply", saved(tmp_path, FILE)).err


def test_a_router_is_deleted() -> None:
    line = knowing(SUPPORT).answers(f"DELETE {PATH}/{UUID}", {"uuid": UUID})
    assert line("routers", "delete", "support").out == "router:support is deleted.\n"
    shown = knowing(SUPPORT).answers(f"DELETE {PATH}/{UUID}", {"uuid": UUID})("routers", "delete", UUID, "--json")
    assert shown.json == {"uuid": UUID}


def test_presets_and_tasks_are_listed() -> None:
    preset: JsonObject = {"slug": "general", "display_name": "General", "config": LEAST["config"]}
    reply: JsonObject = {"presets": [preset], "meta": {"total": 1, "page": 1, "pages": 1}}
    ran = CommandLine().answers(f"GET {PATH}/presets?{ALL}", reply)("routers", "presets")
    assert ran.out == (
        "ROUTER          TASK           POOL  PREFER\n"
        "router:general  summarization  tiny\n"
        "                (no task)      tiny\n"
    )  # fmt: skip
    task: JsonObject = {"task_slug": "bug-fixing", "category": "Software", "models": ["a", "b"]}
    reply = {"tasks": [task], "meta": {"total": 1, "page": 1, "pages": 1}}
    line = CommandLine().answers(f"GET {PATH}/tasks/presets?{ALL}", reply)
    assert line("routers", "tasks").out == "TASK        CATEGORY  MODELS\nbug-fixing  Software  a, b\n"
