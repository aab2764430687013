"""Rank texts by likeness with an embedded encoder: `python examples/similar_texts.py MODEL`.

The address and the key come from OPENAI_BASE_URL and OPENAI_API_KEY, as the official SDK reads them.
"""

from __future__ import annotations

import sys

from openai import OpenAI

TEXTS = ("How do I reset my password?", "I cannot log in.", "The turbine turns in the river.")


def main(model: str) -> None:
    """Print every text with its likeness to the first, the most alike on top."""
    reply = OpenAI().embeddings.create(model=model, input=list(TEXTS))
    first, *others = [each.embedding for each in reply.data]
    likeness = [sum(a * b for a, b in zip(first, other, strict=True)) for other in others]
    for text, score in sorted(zip(TEXTS[1:], likeness, strict=True), key=lambda pair: -pair[1]):
        sys.stdout.write(f"{score:5.2f}  {text}\n")


main(sys.argv[1])
