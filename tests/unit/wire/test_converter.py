"""A converter describes its type when it is made, so that threads may read it at once; else the process crashes."""

import subprocess
import sys

import msgspec
import pytest

from headrace.wire.converter import Converter, convert_field

# Threads change as often as they can; without the converters this ends by a signal within a tenth of a second.
AT_ONCE = """
from __future__ import annotations
import sys, threading
from msgspec import Struct
from headrace.wire.converter import Converter
sys.setswitchinterval(1e-6)
FORMS = []
for number in range(200):
    source = f'''
class Inmost{number}(Struct):
    x: dict[str, tuple[int, ...]]
    y: list[str]
class Inner{number}(Struct):
    a: Inmost{number}
    b: Inmost{number} | None
    c: dict[str, list[Inmost{number}]]
class Outer{number}(Struct):
    i: Inner{number}
    j: list[Inner{number}]
FORMS.append((Converter(Outer{number}), Converter(Inner{number})))
'''
    exec(source)
inmost = {"x": {"k": [1]}, "y": ["z"]}
inner = {"a": inmost, "b": None, "c": {"q": [inmost]}}
outer = {"i": inner, "j": [inner]}
for outer_form, inner_form in FORMS:
    barrier = threading.Barrier(4)
    def read(form, value):
        barrier.wait()
        form.convert(value)
    threads = [threading.Thread(target=read, args=each) for each in ((outer_form, outer), (inner_form, inner)) * 2]
    [each.start() for each in threads]
    [each.join() for each in threads]
print("read")
"""


class Inner(msgspec.Struct):
    size: int


class Outer(msgspec.Struct):
    inner: Inner
    sizes: tuple[int, ...] = ()


def test_threads_may_read_a_type_for_the_first_time_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "read\n"), done.stderr


def test_a_value_is_read_as_the_type_or_refused_with_its_place() -> None:
    outer = Converter(Outer)
    assert outer.convert({"inner": {"size": 3}}) == Outer(Inner(3))
    with pytest.raises(msgspec.ValidationError, match=r"\$\.inner\.size"):
        outer.convert({"inner": {"size": "3"}})


def test_one_field_is_read_alone() -> None:
    sizes = msgspec.structs.fields(Outer)[1]
    assert convert_field(sizes, [1, 2]) == (1, 2)
    with pytest.raises(msgspec.ValidationError, match=r"\$\[1\]"):
        convert_field(sizes, [1, "2"])
