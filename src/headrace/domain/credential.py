"""Provider credentials as values: a label, the secret and where it comes from; sealing and using it is elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from headrace.domain.secret import Secret

CredentialSource: TypeAlias = Literal["stored", "environment"]

DEFAULT_LABEL = "default"


@dataclass(frozen=True, slots=True)
class Credential:
    """One of a provider's credentials; the label tells it from the others and is all that is ever shown of it."""

    label: str
    secret: Secret
    source: CredentialSource = "stored"
