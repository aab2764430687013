"""Which of our models a provider's bill means: bills write dates, other cases and display names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_DATED = re.compile(r"[-@ ](?:20[0-9]{2}-?[01][0-9]-?[0-3][0-9])\Z")
_SIGNS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model of the catalog or of the books: our id, and the other names that it goes by."""

    id: str
    names: tuple[str, ...] = ()


def names_on_bill(
    billed: Iterable[str], known: Iterable[KnownModel], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return our model ids by the bill's names, for those that are known.

    What is given goes first, then equal names, then names that are alike but for their date, case and signs.
    """
    exact: dict[str, str] = {}
    alike: dict[str, str] = {}
    undated: dict[str, str] = {}
    for model in known:
        for name in (model.id, *model.names):
            exact.setdefault(name, model.id)
            alike.setdefault(_plain(name), model.id)
            undated.setdefault(_plain(_DATED.sub("", name)), model.id)
    found: dict[str, str] = {}
    for name in billed:
        bare = _plain(_DATED.sub("", name))
        model_id = (given or {}).get(name) or exact.get(name) or alike.get(_plain(name)) or undated.get(bare)
        if name and model_id is not None:
            found[name] = model_id
    return found


def _plain(name: str) -> str:
    return _SIGNS.sub("", name.casefold().rpartition("/")[2])
