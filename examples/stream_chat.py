"""Stream an answer and read what it cost: `python examples/stream_chat.py MODEL`.

The address and the key come from OPENAI_BASE_URL and OPENAI_API_KEY, as the official SDK reads them.
"""

from __future__ import annotations

import sys

from openai import OpenAI


def main(model: str) -> None:
    """Print the answer as it comes, then tokens, cost and the receipt's id."""
    stream = OpenAI().chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "Say hello in five words."}],
        max_tokens=30,
        stream=True,
        stream_options={"include_usage": True},
    )
    for chunk in stream:
        for choice in chunk.choices:
            sys.stdout.write(choice.delta.content or "")
        if chunk.usage is not None:
            extra = chunk.model_extra or {}
            sys.stdout.write(f"\n{chunk.usage.total_tokens} tokens, {extra['headrace']}\n")


main(sys.argv[1])
