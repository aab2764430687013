"""Dated prices and the ledger lines that they make of usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.domain.money import PPM, line_nano
from headrace.domain.usage import INPUT_CLASSES, OUTPUT_CLASSES, TokenClass, Usage


@dataclass(frozen=True, slots=True)
class PriceVersion:
    """What one model at one provider costs from a date on; immutable once it was used.

    `rates_pico` are pico-dollars per token and hold every class: a class that the file leaves out takes its
    fallback (cache classes the fresh input price, reasoning the output price). `markup_ppm` turns cost into charge.
    `id` names provider, model, date and a digest of the rates, so an edited price is another version.
    """

    id: str
    provider: str
    model_id: str
    effective: str
    source: str
    rates_pico: Mapping[TokenClass, int]
    markup_ppm: int = PPM
    dearest_input_pico: int = field(init=False, compare=False)
    dearest_output_pico: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Work out the highest price of any input and of any output class: every bound needs them."""
        object.__setattr__(self, "dearest_input_pico", max(self.rates_pico.get(each, 0) for each in INPUT_CLASSES))
        object.__setattr__(self, "dearest_output_pico", max(self.rates_pico.get(each, 0) for each in OUTPUT_CLASSES))

    @property
    def is_free(self) -> bool:
        """Whether every class costs nothing."""
        return not (self.dearest_input_pico or self.dearest_output_pico)


@dataclass(frozen=True, slots=True)
class Line:
    """One priced quantity: what the operator owes upstream (cost) and what the caller is billed (charge)."""

    kind: str
    quantity: int
    price_pico: int
    cost_nano: int
    charge_nano: int


def price_lines(usage: Usage, price: PriceVersion, *, charged: bool = True) -> tuple[Line, ...]:
    """Return one line per used token class; with `charged` false the cost stands and the charge is nothing."""
    lines: list[Line] = []
    for token_class, quantity in usage.quantities():
        pico = price.rates_pico[token_class]
        charge = line_nano(quantity, pico, price.markup_ppm) if charged else 0
        lines.append(Line(token_class.value, quantity, pico, line_nano(quantity, pico), charge))
    return tuple(lines)


def bound_nano(price: PriceVersion, prompt_tokens: int, output_tokens: int) -> int:
    """Return the most that a request can be charged, in nano-dollars.

    Each line rounds on its own, so two nano-dollars per class are added: a hold may never be under the bill.
    """
    dearest_input = line_nano(prompt_tokens, price.dearest_input_pico, price.markup_ppm)
    dearest_output = line_nano(output_tokens, price.dearest_output_pico, price.markup_ppm)
    return 0 if price.is_free else dearest_input + dearest_output + len(TokenClass)
