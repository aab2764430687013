"""Every field that a client can send, from the official SDKs' own types: as pairs of values that differ in it alone."""

from __future__ import annotations

import collections.abc
import functools
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Required, Union, get_args, get_origin, get_type_hints

SEQUENCES = (list, collections.abc.Iterable, collections.abc.Sequence)
WRAPPERS = (Required, typing.NotRequired, typing.Annotated)
UNKNOWN = "canary_field"


@dataclass(frozen=True)
class Variant:
    """Two values of one type that differ in what is at `path` alone; "0" in a path is an element of a list."""

    path: tuple[str, ...]
    without: Any
    having: Any

    @property
    def name(self) -> str:
        """The path, as a test's list of exceptions writes it."""
        return ".".join(self.path)

    @property
    def value(self) -> Any:
        """What stands at the path."""
        found: Any = self.having
        for step in self.path:
            found = found[0] if step == "0" else found[step]
        return found


class Sampler:
    """Makes values of the SDKs' types.

    `words` are strings by the name of their field, `members` what an object of a class needs beside its required
    fields, `ends` what a list of that name must end with.
    """

    def __init__(
        self, words: Mapping[str, Any], members: Mapping[str, Mapping[str, Any]], ends: Mapping[str, Any]
    ) -> None:
        self._words = words
        self._members = members
        self._ends = ends

    def variants(self, kind: Any, name: str = "", above: tuple[Any, ...] = ()) -> Iterator[Variant]:
        """Return pairs of values for everything that a value of this type can hold; a type inside itself ends there."""
        kind = bare(kind)
        if is_object_type(kind):
            yield from () if kind in above else self._of_object(kind, name, (*above, kind))
        elif is_union(kind):
            for each in get_args(kind):
                yield from self.variants(each, name, above)
        elif is_sequence(kind):
            yield from self._of_list(kind, name, above)

    def _of_object(self, kind: Any, name: str, above: tuple[Any, ...]) -> Iterator[Variant]:
        base = next(self.samples(kind, name))
        yield Variant((UNKNOWN,), base, {**base, UNKNOWN: "canary"})
        for key, hint, is_required in members_of(kind):
            for value in () if is_required or key in base else self.samples(hint, key):
                yield Variant((key,), base, {**base, key: value})
            for inner in self.variants(hint, key, above):
                yield Variant((key, *inner.path), {**base, key: inner.without}, {**base, key: inner.having})

    def _of_list(self, kind: Any, name: str, above: tuple[Any, ...]) -> Iterator[Variant]:
        inside, end = get_args(kind)[0], [self._ends[name]] if name in self._ends else []
        for each in self.samples(inside, name) if end else ():
            yield Variant(("0",), [*end], [each, *end])
        for inner in self.variants(inside, name, above):
            yield Variant(("0", *inner.path), [inner.without, *end], [inner.having, *end])

    def samples(self, kind: Any, name: str, above: tuple[Any, ...] = ()) -> Iterator[Any]:
        """Return the least values of a type, one for each alternative; none where it could only hold itself."""
        kind = bare(kind)
        if kind in (str, object, Any):
            yield self._words.get(name, "canary")
        elif kind in PLAIN:
            yield from PLAIN[kind]
        elif is_object_type(kind):
            yield from self._least(kind, above)
        elif get_origin(kind) is Literal:
            yield from get_args(kind)
        elif is_union(kind):
            yield from self._alternatives(kind, name, above)
        elif get_origin(kind) is dict:
            held = get_args(kind)[1]
            yield {"type": "object"} if held is object else {"canary": next(self.samples(held, ""))}
        else:
            assert is_sequence(kind), f"no sample of {kind}"
            end = [self._ends[name]] if name in self._ends else []
            yield from ([each, *end] for each in self.samples(get_args(kind)[0], name, above))

    def _least(self, kind: Any, above: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
        least: dict[str, Any] = {}
        for key, hint, is_required in members_of(kind):
            if not is_required:
                continue
            found = next(self.samples(hint, key, (*above, kind)), None) if kind not in above else None
            if found is None:
                return
            least[key] = found
        yield {**least, **self._members.get(kind.__name__, {})}

    def _alternatives(self, kind: Any, name: str, above: tuple[Any, ...]) -> Iterator[Any]:
        among = [bare(each) for each in get_args(kind)]
        if str in among and all(each is str or get_origin(each) is Literal for each in among):
            # Names that the SDK suggests beside any other.
            among = [str]
        for each in among:
            yield from self.samples(each, name, above)


PLAIN: Mapping[Any, tuple[Any, ...]] = {bool: (True, False), int: (3,), float: (0.5,), types.NoneType: ()}


def bare(kind: Any) -> Any:
    """Return a type without what wraps it."""
    while get_origin(kind) in WRAPPERS:
        kind = get_args(kind)[0]
    return str if isinstance(kind, typing.TypeVar) else kind


def is_object_type(kind: Any) -> bool:
    """Whether a type is a TypedDict."""
    return isinstance(kind, type) and hasattr(kind, "__required_keys__")


def is_union(kind: Any) -> bool:
    """Whether a type is one of several."""
    return get_origin(kind) in (Union, types.UnionType)


def is_sequence(kind: Any) -> bool:
    """Whether a type is a list; both SDKs have one of their own that is not a string."""
    origin = get_origin(kind)
    return origin in SEQUENCES or getattr(origin, "__name__", "") == "SequenceNotStr"


@functools.cache
def members_of(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    """Return the fields of a TypedDict: name, type, and whether it is required."""
    hints = get_type_hints(kind, include_extras=True)
    # Under postponed annotations the class itself does not know what it requires.
    return tuple(
        (name, hint, get_origin(hint) is Required or name in kind.__required_keys__) for name, hint in hints.items()
    )
