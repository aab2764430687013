"""The data module of the `genai-prices` package as the values of its data.json; it is read as text and never run.

Source: genai-prices 0.2.3, `genai_prices/data.py` (MIT, https://github.com/pydantic/genai-prices, read 2026-11-28).
"""

from __future__ import annotations

import ast
from decimal import Decimal
from typing import Any

NAME = "providers"


def read_package(text: str) -> Any:
    """Return the providers of the module; raises ValueError for what is not plain data."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.AnnAssign) and node.value is not None and ast.unparse(node.target) == NAME:
            return _value(node.value)
    raise ValueError(f"it sets no {NAME}")


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int() as number) if not isinstance(number, bool):
            return Decimal(number)
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items):
            return [_value(each) for each in items]
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(value) for key, value in zip(keys, values, strict=True) if key is not None}
        case ast.Call():
            return _made(node)
        case _:
            raise ValueError(f"line {node.lineno} is no plain data")


def _made(call: ast.Call) -> Any:
    arguments = [_value(each) for each in call.args]
    match ast.unparse(call.func):
        case "Decimal":
            return Decimal(arguments[0])
        case "datetime.date":
            return "{:04d}-{:02d}-{:02d}".format(*map(int, arguments))
        case "datetime.time":
            return "{:02d}:{:02d}".format(*map(int, arguments[:2]))
        case _:
            # A field whose name is a keyword of Python ends in an underscore.
            return {(each.arg or "").rstrip("_"): _value(each.value) for each in call.keywords}
