"""The engine file's form as types, and the JSON Schema made of them; reading a file is engine_file's."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.json import schema as json_schema

from headrace.domain.engine_command import ProbeKind
from headrace.wire.catalog_schema import Day, Text, Url, VariableName

EngineName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="The engine's name, which is the file's name: lower-case letters, digits, hyphens.",
    ),
]
Executable = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9._/][^\s{}]*$",
        description="A program's name, looked for in PATH, or its whole path; no blanks and no spaces.",
    ),
]
Argument = Annotated[str, Meta(max_length=2000, pattern=r"^[^\x00-\x1f]*$")]
Arguments = Annotated[
    tuple[Argument, ...], Meta(description='Arguments one by one in a list, like ["--port", "{port}"].')
]
Environment = Annotated[
    dict[VariableName, Argument],
    Meta(description='Variables with their values, like CUDA_VISIBLE_DEVICES = "{devices}".'),
]
Names = Annotated[tuple[VariableName, ...], Meta(description='Names of environment variables, like ["HF_HOME"].')]
BasePath = Annotated[
    str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)*$", description='What the paths of its API begin with, like "/v1", or "".')
]
MetricsPath = Annotated[
    str, Meta(pattern=r"^(/[A-Za-z0-9._~/-]*)?$", description='Where its metrics are, like "/metrics", or "" for none.')
]
MetricName = Annotated[str, Meta(pattern=r"^[A-Za-z_:][A-Za-z0-9_:]*$", description="The name of a metric.")]
Figure = Literal["running", "waiting", "cache_use", "input_tokens", "cached_tokens", "output_tokens"]
Figures = Annotated[
    dict[Figure, MetricName],
    Meta(
        description="The names of its metrics for running, waiting, cache_use (0 to 1), input_tokens, cached_tokens and"
        " output_tokens; those that it has not are left out."
    ),
]
Probe = Annotated[ProbeKind, Meta(description='"completions", "chat" or "embeddings".')]
Version = Annotated[
    str,
    Meta(pattern=r"^[0-9A-Za-z.+-]{1,60}$", description='The version that this file was written for, like "0.33.0".'),
]
PrivateText = Annotated[
    str, Meta(max_length=4000, description="A file's text in quotes; {secret} stands for the replica's secret.")
]


class EngineTable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An engine's file; one of the operator with a shipped engine's name stands in its place as a whole."""

    name: EngineName
    display_name: Text
    executable: Executable
    arguments: Arguments
    install: Text
    docs_url: Url
    checked_on: Day
    gpu_arguments: Arguments = ()
    version: Version | None = None
    version_arguments: Arguments = ()
    environment: Environment = {}
    pass_environment: Names = ()
    private_text: PrivateText = ""
    base_path: BasePath = "/v1"
    probe: Probe = ProbeKind.COMPLETIONS
    metrics_path: MetricsPath = ""
    metrics: Figures = {}


def schema_text() -> str:
    """Return the JSON Schema of an engine file as the text of engine.schema.json."""
    document = json_schema(EngineTable)
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "Headrace engine file"
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
