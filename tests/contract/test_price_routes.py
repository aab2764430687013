"""`GET /v2/prices/{model}`: every dated price of what a credential may call."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.control_world import Plane, World, body_of, open_plane


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    async with open_plane(World()) as opened:
        yield opened


async def test_a_models_prices_are_shown_with_their_source(plane: Plane) -> None:
    shown = body_of(await plane.call("key", "GET", "/v2/prices/acme%2Fchat:large"))
    listed = plane.parts.door.snapshots.current().models["acme/chat:large"][0]
    assert listed.price is not None
    assert shown == {
        "prices": {
            "model": "acme/chat:large",
            "offers": [
                {
                    "provider": "acme",
                    "versions": [
                        {
                            "version": listed.price.id,
                            "effective": "2026-11-01",
                            "source": "https://example.com/prices",
                            "usd_per_mtok": {
                                "input_fresh": "1",
                                "input_cache_read": "0.1",
                                "input_cache_write_5m": "1",
                                "input_cache_write_1h": "1",
                                "output_text": "4",
                                "output_reasoning": "4",
                            },
                            "tiers": [],
                            "windows": [],
                            "batch_multiplier": None,
                            "service_tiers": {},
                            "markup_ppm": 1_000_000,
                            "in_force": True,
                        }
                    ],
                }
            ],
        }
    }


async def test_a_model_without_a_price_has_no_version(plane: Plane) -> None:
    shown = body_of(await plane.call("admin", "GET", "/v2/prices/unpriced"))
    assert shown == {"prices": {"model": "unpriced", "offers": [{"provider": "acme", "versions": []}]}}


async def test_a_key_reads_the_prices_of_its_models_only(plane: Plane) -> None:
    hidden = await plane.call("foreign", "GET", "/v2/prices/tiny")
    assert (hidden.status_code, body_of(hidden)["id"]) == (404, "model_not_found")
    missing = await plane.call("admin", "GET", "/v2/prices/tin")
    assert 'Did you mean "tiny"?' in str(body_of(missing)["message"])
