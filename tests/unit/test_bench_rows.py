"""The bench's rows of the data plane: what they ask for, and how they are judged; nothing is measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.data_plane import FLAT_MB, data_plane_text, data_plane_verdicts, growth_mb
from benchmarks.figures import DataPlane, StreamStep, Translated
from benchmarks.workloads import BURST, SPOKEN
from headrace.http.hot_routes import HOT_ROUTES
from headrace.wire.json_strict import decode_object

FINE = DataPlane(
    translated=tuple(Translated(dialect, 9, 12.5, 40_000.0, 0, "") for dialect in SPOKEN),
    at_once=StreamStep(256, True, 0, 36.0, 40.0, ""),
    soak_seconds=60.0,
    soak_streams=900,
    soak_errors=0,
    soak_mb=(100.0, 101.0, 103.0, 102.0),
)


@pytest.mark.parametrize("dialect", SPOKEN)
def test_a_burst_is_a_streamed_request_of_its_dialect(dialect: str) -> None:
    [route] = [each for each in HOT_ROUTES if each.path == SPOKEN[dialect].path]
    body = replace(BURST, dialect=dialect).body("one")
    envelope = route.read_envelope(decode_object(body), len(body))
    assert (route.dialect, envelope.model, envelope.stream, envelope.output_cap) == (dialect, "one", True, 512)


def test_good_rows_meet_their_bars_and_stand_in_the_text() -> None:
    assert [each.met for each in data_plane_verdicts(FINE)] == [True, True, True]
    assert data_plane_verdicts(None) == ()
    text = data_plane_text(FINE)
    assert all(dialect in text for dialect in SPOKEN) and "256 streams at once" in text
    assert "memory 100, 101, 103, 102 MB" in text


@pytest.mark.parametrize(
    ("place", "bad"),
    [
        (0, replace(FINE, translated=(replace(FINE.translated[0], errors=1, first_error="status 500"),))),
        (1, replace(FINE, at_once=replace(FINE.at_once, clean=False))),
        (2, replace(FINE, soak_mb=(100.0, 100.0, 100.1 + FLAT_MB))),
        (2, replace(FINE, soak_errors=1)),
    ],
)
def test_a_bad_row_misses_its_bar(place: int, bad: DataPlane) -> None:
    assert [each.met for each in data_plane_verdicts(bad)].index(False) == place
    assert ("first: status 500" in data_plane_text(bad)) is (place == 0)


def test_growth_leaves_out_what_the_first_slice_filled() -> None:
    assert growth_mb((200.0, 190.0, 195.0)) == -5.0
