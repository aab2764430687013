"""`headrace routers calibrate` against the real server: every prompt asked once, booked, counted and kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from headrace.domain.checkable import Check, is_right
from headrace.domain.strength import checkable_strength
from headrace.drivers.catalogs.checkable import shipped_checkable
from headrace.drivers.catalogs.strengths import StrengthFiles
from headrace.testing.obedient import obedient_chat
from headrace.testing.openai_replies import Chat
from headrace.testing.script import Reply, UpstreamRequest
from headrace.testing.upstream import running_upstream
from tests.running import RunningHeadrace, headrace

ITEMS = {each.prompt: each for each in shipped_checkable()}
ITEMS_BY_ID = {each.id: each for each in ITEMS.values()}
SPOKEN = {Check.EQUALS, Check.NUMBER, Check.CONTAINS, Check.ONE_OF}
RIGHT = sum(each.check in SPOKEN for each in ITEMS.values())


def knowing(request: UpstreamRequest) -> Reply:
    """Answers what is expected wherever that is a text."""
    messages = cast("list[Mapping[str, str]]", request.fields["messages"])
    item = ITEMS[messages[-1]["content"]]
    return obedient_chat(request, Chat(text=" and ".join(_said(item.check, item.expected))))


def _said(check: Check, expected: tuple[str, ...]) -> tuple[str, ...]:
    if check not in SPOKEN:
        return ("?",)
    return expected if check is Check.CONTAINS else expected[:1]


def test_a_model_is_asked_everything_once_and_its_strength_is_kept(tmp_path: Path) -> None:
    server = RunningHeadrace(tmp_path / "home")
    with running_upstream(knowing) as upstream:
        server.add_provider("fake", upstream.base_url, "oracle")
        with server:
            ran = headrace("routers", "calibrate", "oracle", "--save", "--json", home=server.home)
            assert ran.returncode == 0, ran.stderr
            usage = json.loads(headrace("usage", "--json", home=server.home).stdout)
            few = headrace("routers", "calibrate", "oracle", "--limit", "22", home=server.home)
        asked = [each.fields["messages"] for each in upstream.requests]
    reply = json.loads(ran.stdout)
    [found] = reply["models"]
    assert (found["right"], found["total"], found["unanswered"]) == (RIGHT, len(ITEMS), [])
    assert all(not is_right(ITEMS_BY_ID[name], "?") for name in found["wrong"])
    assert len(asked) == len(ITEMS) + 22
    assert len({str(each) for each in asked}) == len(ITEMS)
    assert str(found["cost_nano_usd"]) in json.dumps(usage)
    assert ran.stderr.startswith(f"oracle: {len(ITEMS)} prompts, about $0.0")
    [kept] = [each for each in StrengthFiles(server.home / "catalog").read() if each.model == "oracle"]
    measured = checkable_strength("oracle", RIGHT, len(ITEMS), "headrace routers calibrate", kept.read)
    assert kept == replace(measured, is_own=True)
    assert reply["saved"] == str(server.home / "catalog" / "routing" / "strengths.toml")
    assert few.returncode == 0, few.stderr
    assert "/22 " in few.stdout
