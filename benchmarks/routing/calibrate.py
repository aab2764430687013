"""Fits the coefficients that ship: `python -m benchmarks.routing.calibrate --data DIR` writes them.

What may be fitted to is in sources.py. The same data, library and encoder give the same file.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.routing.data import read_cases
from benchmarks.routing.fit import COLUMNS, fit
from benchmarks.routing.reading import many_vectors, open_reader
from benchmarks.routing.scoring import outcomes, shipped_background
from benchmarks.routing.sources import LICENCES
from headrace.drivers.scorers.calibration import FILE, Coefficients
from headrace.drivers.scorers.features import WITH_SEVERAL

TARGET = Path(__file__).parents[2] / "src" / "headrace" / "catalog" / "routing" / FILE
DIGITS = 5
# With how many examples of each task the coefficients of a bucket are fitted.
SHOTS: Mapping[str, tuple[int, ...]] = {"0": (0,), "1-2": (1, 2), "3+": (3, 5, 8, 20)}


def main(arguments: Sequence[str]) -> int:
    """Fit and write; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing.calibrate", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with task-matching/")
    parser.add_argument("--home", type=Path, default=Path("~/.headrace"), help="home with the encoder's weights")
    parser.add_argument("--out", type=Path, default=TARGET)
    given = parser.parse_args(arguments)
    reader = open_reader(given.home.expanduser())
    vectors = many_vectors(reader)
    cases = [each for each in read_cases(given.data) if each.dataset in LICENCES]
    background = shipped_background(vectors)
    by_shots = {each: outcomes(cases, each, vectors, background) for shots in SHOTS.values() for each in shots}
    reader.save()
    fitted = {
        bucket: fit([each for shots in SHOTS[bucket] for each in by_shots[shots]], names)
        for bucket, names in COLUMNS.items()
    }
    given.out.write_text(written(fitted), "utf-8")
    return 0


def written(by_bucket: Mapping[str, Coefficients]) -> str:
    """Return the file: one line for each feature, so that a change of one can be read."""
    lines = [
        "{",
        f' "fitted_to": {json.dumps(LICENCES, indent=2)},',
        ' "columns": ["low", "high", "mean", "scale", "weight"],',
    ]
    parts = [
        f'  "{name}": {{\n   "intercept": {_number(each.intercept)},\n{_rows(each)}\n  }}'
        for name, each in by_bucket.items()
    ]
    return "\n".join([*lines, ' "buckets": {', ",\n".join(parts), " }", "}", ""])


def _rows(fitted: Coefficients) -> str:
    columns = (fitted.low, fitted.high, fitted.mean, fitted.scale, fitted.weights)
    rows = (
        f'    "{WITH_SEVERAL[column]}": [{", ".join(_number(float(each[place])) for each in columns)}]'
        for place, column in enumerate(fitted.columns)
    )
    return '   "features": {\n' + ",\n".join(rows) + "\n   }"


def _number(value: float) -> str:
    return f"{value:.{DIGITS}f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
