"""How amounts of money look in the published description."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Nano = Annotated[int, Meta(description="Nano-dollars.")]
Usd = Annotated[str, Meta(description="Dollars as a decimal text.", pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
