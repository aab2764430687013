"""Reads what a deployment is asked to be; writing one is dedicated_json's, what it may be is the services'.

Source: https://github.com/digitalocean/openapi, folder `dedicated_inferences`, by pydo 0.44.0 (read 2026-11-28): names
of fields that exist there are theirs, the other ones stand beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from headrace.domain.dedicated import Overflow, ScaleTarget, ScalingMetric, WhenAsleep
from headrace.domain.dedicated_draft import MOST_REPLICAS, PREFILL_DECODE, DeploymentDraft
from headrace.domain.errors import InvalidRequest, Unprocessable
from headrace.domain.json_value import JsonObject, JsonValue
from headrace.domain.names import did_you_mean
from headrace.domain.secret import Secret
from headrace.wire.json_strict import encode, is_object

CREATE_FIELDS = frozenset({"spec", "access_tokens", "team"})
PATCH_FIELDS = frozenset({"spec", "access_tokens"})
BOUNDS = ("min_scale", "max_scale")
SPEC_FIELDS = frozenset({"version", "name", "region", "vpc", "enable_public_endpoint", "model_deployments"})
MODEL_FIELDS = frozenset(
    {
        "model_id",
        "model_slug",
        "model",
        "model_provider",
        "provider_model_id",
        "workload_config",
        "accelerators",
        "driver",
        "engine",
        "slots",
        "context_length",
        "target",
        "idle_seconds",
        "overflow",
        "when_asleep",
        "wait_seconds",
    }
)
# What a client that sends back what it read sends too; `status` is ours to say and passed over.
ACCELERATOR_FIELDS = frozenset({"accelerator_slug", "scale", "type", "status", "gpus", *BOUNDS})
MODEL, ACCELERATOR = "model_deployments[0]", "model_deployments[0].accelerators[0]"
SHOWN_CHARS = 80
MAX_TOKEN_CHARS = 4_096
T = TypeVar("T", bound=str)


@dataclass(frozen=True, slots=True)
class _Part:
    """An object within the body and where it stands."""

    fields: JsonObject
    path: str

    def place(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def wrong(self, name: str, wanted: str) -> InvalidRequest:
        shown = encode(self.fields.get(name)).decode()[:SHOWN_CHARS]
        place = self.place(name)
        return InvalidRequest(f'"{place}" must be {wanted}, not {shown}.', param=place)

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if value is None or isinstance(value, str):
            return value or ""
        raise self.wrong(name, "a string")

    def number(self, name: str) -> int | None:
        value = self.fields.get(name)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise self.wrong(name, "a whole number")

    def flag(self, name: str) -> bool | None:
        value = self.fields.get(name)
        if value is None or isinstance(value, bool):
            return value
        raise self.wrong(name, "true or false")

    def word(self, name: str, words: Iterable[T]) -> T | None:
        known = list(words)
        value = self.fields.get(name)
        if value is None:
            return None
        for each in known:
            if each == value:
                return each
        raise self.wrong(name, f"one of {', '.join(known)}")

    def part(self, name: str, known: Iterable[str] | None, example: str) -> _Part | None:
        value = self.fields.get(name)
        if value is None:
            return None
        if not is_object(value):
            raise self.wrong(name, f"an object like {example}")
        found = _Part(value, self.place(name))
        return found if known is None else found.of_known(known)

    def of_known(self, known: Iterable[str]) -> _Part:
        names = sorted(known)
        for name in self.fields:
            if name not in names:
                hint = did_you_mean(name, names)
                place = self.place(name[:SHOWN_CHARS])
                raise InvalidRequest(
                    f'The field "{place}" is not known.{f" {hint}" if hint else ""} Known are: {", ".join(names)}.',
                    code="unknown_field",
                    param=place,
                )
        return self

    def only(self, name: str, what: str) -> _Part:
        """A list of one: the public contract's lists have exactly one entry here."""
        value, place = self.fields.get(name), self.place(name)
        if not isinstance(value, list):
            raise self.wrong(name, f"a list with one {what}")
        if len(value) != 1:
            raise Unprocessable(
                f'"{place}" must have exactly one {what}, not {len(value)}: make a deployment for each.',
                code="unsupported_spec",
                param=place,
            )
        if not is_object(value[0]):
            shown = encode(value[0]).decode()[:SHOWN_CHARS]
            raise InvalidRequest(f'"{place}[0]" must be an object, not {shown}.', param=f"{place}[0]")
        return _Part(value[0], f"{place}[0]")


def read_draft(fields: JsonObject) -> DeploymentDraft:
    """Return what the body's `spec` asks for; raises InvalidRequest naming the field, Unprocessable for two of a kind.

    Without bounds a deployment has `scale` replicas; with one bound `scale` is the other.
    """
    spec = _Part(fields, "").part("spec", SPEC_FIELDS, '{"name": …, "model_deployments": […]}')
    if spec is None:
        raise InvalidRequest('"spec" is missing: it says what to run.', param="spec")
    spec.number("version")
    vpc = spec.part("vpc", {"uuid"}, '{"uuid": …}')
    model = spec.only("model_deployments", "model").of_known(MODEL_FIELDS)
    accelerator = model.only("accelerators", "kind of accelerator").of_known(ACCELERATOR_FIELDS)
    _check_type(accelerator)
    least, most = _bounds(accelerator)
    public = spec.flag("enable_public_endpoint")
    return DeploymentDraft(
        name=spec.text("name"),
        model=model.text("model_slug") or model.text("model"),
        accelerator=accelerator.text("accelerator_slug"),
        min_scale=least,
        max_scale=most,
        gpus=accelerator.number("gpus"),
        driver=model.text("driver"),
        engine=model.text("engine"),
        slots=model.number("slots"),
        context_length=model.number("context_length"),
        idle_seconds=model.number("idle_seconds"),
        target=_target(model),
        overflow=_overflow(model),
        when_asleep=model.word("when_asleep", WhenAsleep),
        wait_seconds=model.number("wait_seconds"),
        region=spec.text("region"),
        vpc_uuid="" if vpc is None else vpc.text("uuid"),
        enable_public_endpoint=public is not False,
        model_deployment_id=model.text("model_id"),
        model_provider=model.text("model_provider"),
        provider_model_id=model.text("provider_model_id"),
        workload_config=_workload(model),
    )


def patched(present: JsonObject, fields: JsonObject) -> JsonObject:
    """Return a body as if it were whole: what its `spec` leaves out stays, what it gives as null is taken away.

    `present` is the specification in force, as it is shown. Another `scale` alone takes the place of both bounds, the
    one that was shown leaves them; another machine takes the place of the number of accelerators.
    """
    given = fields.get("spec")
    if given is None:
        return {**fields, "spec": present}
    if not is_object(given):
        return fields
    merged: JsonObject = {**present, **given}
    models, change = given.get("model_deployments"), _sole(given.get("model_deployments"))
    if models is None:
        merged["model_deployments"] = present["model_deployments"]
    elif change is not None:
        before = _Part(present, "").only("model_deployments", "model").fields
        merged["model_deployments"] = [_patched_model(before, change)]
    return {**fields, "spec": merged}


def read_model_token(fields: JsonObject) -> Secret | None:
    """Return the token with which a gated model's source is asked, None where none is given; raises InvalidRequest."""
    tokens = _Part(fields, "").part("access_tokens", {"hugging_face_token"}, '{"hugging_face_token": …}')
    text = "" if tokens is None else _quiet_text(tokens, "hugging_face_token")
    return Secret(text) if text else None


def read_token_name(fields: JsonObject) -> str:
    """Return the name of a token to be made; raises InvalidRequest."""
    name = _Part(fields, "").text("name")
    if not name:
        raise InvalidRequest('"name" is missing: a token is listed and deleted by it.', param="name")
    return name


def _quiet_text(part: _Part, name: str) -> str:
    """A secret is never shown, not even a wrong one."""
    value, place = part.fields.get(name), part.place(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MAX_TOKEN_CHARS or not value.isprintable():
        raise InvalidRequest(
            f'"{place}" must be a string of at most {MAX_TOKEN_CHARS} printable characters.', param=place
        )
    return value.strip()


def _sole(value: JsonValue) -> JsonObject | None:
    """The one object of a list; None for everything else, which is refused when the whole is read."""
    return value[0] if isinstance(value, list) and len(value) == 1 and is_object(value[0]) else None


def _patched_model(present: JsonObject, given: JsonObject) -> JsonObject:
    merged: JsonObject = {**present, **given}
    if "model_slug" in given or "model" in given:
        merged = {name: value for name, value in merged.items() if name not in {"model", "model_slug"} or name in given}
    groups, change = given.get("accelerators"), _sole(given.get("accelerators"))
    before = _Part(present, "").only("accelerators", "kind of accelerator").fields
    if groups is None:
        merged["accelerators"] = [before]
    elif change is not None:
        merged["accelerators"] = [_patched_accelerator(before, change)]
    return merged


def _patched_accelerator(present: JsonObject, given: JsonObject) -> JsonObject:
    stale: set[str] = set()
    has_bounds = any(name in given for name in BOUNDS)
    if "scale" in given and (has_bounds or given["scale"] != present.get("scale")):
        stale.update(BOUNDS)
    elif has_bounds:
        stale.add("scale")
    slug = given.get("accelerator_slug")
    if slug is not None and slug != present.get("accelerator_slug"):
        stale.add("gpus")
    return {name: value for name, value in present.items() if name not in stale} | given


def _check_type(accelerator: _Part) -> None:
    kind = accelerator.text("type") or PREFILL_DECODE
    if kind != PREFILL_DECODE:
        place = accelerator.place("type")
        raise Unprocessable(
            f'"{place}" must be "{PREFILL_DECODE}", not "{kind[:SHOWN_CHARS]}": each replica reads prompts and writes'
            " answers, on the same accelerators.",
            code="unsupported_spec",
            param=place,
        )


def _bounds(accelerator: _Part) -> tuple[int, int]:
    scale, least, most = (accelerator.number(name) for name in ("scale", *BOUNDS))
    if scale is not None and least is not None and most is not None and scale != most:
        raise InvalidRequest(
            f'"{accelerator.place("scale")}" is {scale} beside max_scale {most}: leave it out, or give the most'
            " replicas there too.",
            param=accelerator.place("scale"),
        )
    if scale is not None and least is None and most is None and not 1 <= scale <= MOST_REPLICAS:
        raise accelerator.wrong(
            "scale", f'from 1 to {MOST_REPLICAS} ("min_scale" 0 beside a "max_scale" lets it sleep)'
        )
    least = scale if least is None else least
    most = scale if most is None else most
    if least is None or most is None:
        place = accelerator.place(
            "scale" if least is None and most is None else "max_scale" if most is None else "min_scale"
        )
        raise InvalidRequest(
            f'"{place}" is missing: give "scale", or the bounds "min_scale" (0 lets it sleep) and "max_scale".',
            param=place,
        )
    return least, most


def _target(model: _Part) -> ScaleTarget | None:
    part = model.part("target", {"metric", "value"}, '{"metric": "queue_depth", "value": 2}')
    if part is None:
        return None
    metric, value = part.word("metric", ScalingMetric), part.number("value")
    if metric is None or value is None:
        place = part.place("value" if metric is not None else "metric")
        raise InvalidRequest(
            f'"{place}" is missing: a target has a metric ({", ".join(ScalingMetric)}) and a value.', param=place
        )
    return ScaleTarget(metric, value)


def _overflow(model: _Part) -> Overflow | None:
    part = model.part("overflow", {"model", "limit"}, '{"model": …, "limit": 2}')
    if part is None:
        return None
    name, limit = part.text("model"), part.number("limit")
    if not name:
        raise InvalidRequest(
            f'"{part.place("model")}" is missing: it takes what the deployment cannot.', param=part.place("model")
        )
    return Overflow(name, 0 if limit is None else limit)


def _workload(model: _Part) -> str:
    part = model.part("workload_config", None, "{}")
    return "{}" if part is None else encode(part.fields).decode()
