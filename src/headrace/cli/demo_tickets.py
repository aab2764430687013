"""The prompts and the router of `headrace demo router`: eight support tickets and one question about code."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.domain.json_value import JsonObject, JsonValue

ROUTER = "demo-support"


@dataclass(frozen=True, slots=True)
class Rungs:
    """The models of the demonstration: the cheap one, the one in between and the strong one."""

    small: str
    middle: str
    large: str


TICKETS = (
    "Where is my parcel? Order 48213 should have arrived on Tuesday.",
    "You charged me twice for the same order. I want one of the two payments back.",
    "I can't log in any more, the reset link says it has expired.",
    "Do you ship to Norway, and what does it cost?",
    "The blender stopped after a week and smells burnt. What now?",
    "Please cancel my subscription at the end of this month.",
    "My invoice has the wrong company name. Can you send a corrected one?",
    "The app closes by itself as soon as I open the camera, since the update of yesterday. Phone: Android 15.",
)
CODE = "Write a Python function that returns the second largest number of a list, and handle short lists."

_TASKS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (
        "delivery",
        "Delivery. The customer asks where an order or a parcel is, or about shipping, its cost and its countries.",
        ("My package has not moved for three days.", "How long does delivery to Spain take?"),
        "small",
    ),
    (
        "billing",
        "Billing. The customer disputes a charge, wants money back, or asks about an invoice or a payment.",
        ("There is a payment on my card that I do not know.", "I need the receipt for my purchase in March."),
        "middle",
    ),
    (
        "account",
        "Account. The customer cannot log in, or wants to change or end an account or a subscription.",
        ("How do I change my e-mail address?", "Stop my plan, please."),
        "small",
    ),
    (
        "technical-problem",
        "Technical problem. A product or an app does not work, is broken, or shows an error.",
        ("The screen stays black after I switch it on.", "I get error 17 when I start it."),
        "middle",
    ),
    (
        "code",
        "Code. Somebody asks to write, explain or repair a piece of a computer program.",
        ("Why does this loop never end?", "Write a SQL query for the ten best customers."),
        "large",
    ),
)


def router_body(rungs: Rungs) -> JsonObject:
    """Return the demonstration's router as it is made: each pool begins with the cheapest that will do."""
    pools: dict[str, tuple[str, ...]] = {
        "small": (rungs.small, rungs.middle),
        "middle": (rungs.middle, rungs.large),
        "large": (rungs.large,),
    }
    policies: list[JsonValue] = [
        {
            "custom_task": {"name": name, "description": description, "examples": list[JsonValue](examples)},
            "models": list[JsonValue](dict.fromkeys(pools[rung])),
            "selection_policy": {"prefer": "cheapest"},
        }
        for name, description, examples, rung in _TASKS
    ]
    return {
        "name": ROUTER,
        "description": "Made by `headrace demo router`.",
        "policies": policies,
        "fallback_models": [rungs.large],
    }
