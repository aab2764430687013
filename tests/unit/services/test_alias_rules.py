"""Aliases of the configuration file: each one that cannot be is told with its line, all at once."""

import pytest

from headrace.domain.alias import WrittenAlias
from headrace.domain.catalog import AVAILABLE, Listed
from headrace.domain.errors import ConfigInvalid
from headrace.domain.snapshot import Snapshot
from headrace.services.alias_rules import check_written
from tests.fakes.nouns import PROVIDER, a_model, a_price
from tests.fakes.routers import SUPPORT

MODELS = {name: (Listed(a_model(name), a_price(), AVAILABLE),) for name in ("one", "two")}


def written(name: str, points_to: str, *fallbacks: str, line: int = 3) -> WrittenAlias:
    return WrittenAlias(name, points_to, fallbacks, "h.toml", line)


def said_of(*aliases: WrittenAlias, stored: frozenset[str] = frozenset()) -> list[str]:
    named = {each.name: each.alias for each in aliases}
    snapshot = Snapshot(1, MODELS, {"acme": PROVIDER}, {}, named, routers={"support": SUPPORT})
    with pytest.raises(ConfigInvalid) as caught:
        check_written(aliases, stored, snapshot)
    lines = caught.value.message.splitlines()
    assert all(line.startswith("    fix: ") for line in lines[1::2])
    return lines[::2]


def test_what_can_be_is_silent() -> None:
    good = written("daily", "one", "two")
    check_written((good,), frozenset({"other"}), Snapshot(1, MODELS, {"acme": PROVIDER}, {}, {"daily": good.alias}))


@pytest.mark.parametrize(
    ("alias", "said"),
    [
        (written("daily", "ones"), 'h.toml:3: aliases.daily.points_to: No model named "ones". Did you mean "one"?'),
        (written("daily", "one", "three"), 'h.toml:3: aliases.daily.fallbacks: No model named "three".'),
        (
            written("daily", "daily"),
            'h.toml:3: aliases.daily.points_to: "daily" is an alias; an alias points at models.',
        ),
        (written("daily", "one", "one"), 'h.toml:3: aliases.daily.fallbacks: "fallbacks" must be at most 8 models'),
        (
            written("desk", "router:suport"),
            'h.toml:3: aliases.desk.points_to: No router named "suport". Did you mean "support"?',
        ),
        (
            written("tiny", "router:support"),
            'h.toml:3: aliases.tiny.points_to: "tiny" is in the pools of router:support',
        ),
        (written("router:x", "one"), 'h.toml:3: aliases.router:x: "router:x" is a name of routers'),
        (written("one", "two"), 'h.toml:3: aliases.one: "one" is the id of a model'),
        (written("a b", "one"), 'h.toml:3: aliases.a b: "name" must be 1 to 128 letters'),
    ],
)
def test_what_cannot_be_is_told_with_its_place(alias: WrittenAlias, said: str) -> None:
    [line] = said_of(alias)
    assert line.startswith(said)


def test_a_name_that_is_stored_too_is_refused_and_everything_is_told_at_once() -> None:
    lines = said_of(written("daily", "one", line=2), written("x", "no", line=5), stored=frozenset({"daily"}))
    assert lines[0] == "h.toml:2: aliases.daily: an alias of this name is stored too"
    assert lines[1].startswith("h.toml:5: aliases.x.points_to: ")
