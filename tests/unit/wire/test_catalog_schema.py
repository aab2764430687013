import json
import tomllib
from importlib import resources
from typing import Any

import jsonschema
import pytest

from headrace.drivers.catalogs.files import shipped_files
from headrace.wire.catalog_schema import schema_text

EXAMPLE = resources.files("headrace.catalog").joinpath("compatible.toml.example").read_text(encoding="utf-8")
TEXTS = {each.name: each.data.decode() for each in shipped_files()} | {"compatible": EXAMPLE}


def schema() -> dict[str, Any]:
    return json.loads(resources.files("headrace.catalog").joinpath("schema.json").read_text(encoding="utf-8"))


def as_json(text: str) -> Any:
    return json.loads(json.dumps(tomllib.loads(text), default=str))


def test_the_schema_in_the_package_is_that_of_the_types() -> None:
    assert schema() == json.loads(schema_text())


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_shipped_file_is_valid_under_the_schema(name: str) -> None:
    jsonschema.validate(as_json(TEXTS[name]), schema())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('input = "0.10"', "input = 0.10"),
        ('input = "0.10"', 'input = "0,10"'),
        ("context_length = 32768", "context_lenght = 32768"),
        ('auth = "bearer"', 'auth = "basic"'),
        ('"streaming", "tools"', '"streaming", "telepathy"'),
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(old: str, new: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(as_json(EXAMPLE.replace(old, new)), schema())
