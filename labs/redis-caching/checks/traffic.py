"""Requests that several checks send: everyday traffic, and everything that the contract refuses. Judges no read."""

from __future__ import annotations

from typing import Any

from shop import CURRENCIES, HIGHEST_ID, Shop, expect_status

from roadmap_labs.harness import Role, seeded


def mixed_traffic(shop: Shop, catalog: Role) -> None:
    """Reads, a miss, a change, a new product, a deletion. What the reads answer is judged elsewhere."""
    product, unknown = shop.product(), shop.unknown_id()
    for currency in (*CURRENCIES, *CURRENCIES):
        catalog.get(shop.path(product, currency))
    catalog.get(shop.path(unknown))
    expect_status(catalog.put(shop.path(product), {"price_cents": seeded.cents(shop.random)}), 200)
    expect_status(catalog.post("/products", shop.new_product(unknown)), 201)
    catalog.get(shop.path(unknown))
    expect_status(catalog.delete(shop.path(unknown)), 204)
    catalog.get(shop.path(unknown))


Case = tuple[str, str, Any, int, str]


def refusals(shop: Shop) -> list[Case]:
    """Method, path, body, and the status and code that must come back."""
    known, unknown = shop.product(), shop.unknown_id()
    digits = str(shop.random.randint(10**19, 10**20 - 1))
    bad_ids = ["0", f"-{known}", f"00{known}", "x", f"{known}.5", digits, str(HIGHEST_ID + 1)]
    cases: list[Case] = [("GET", f"/products/{bad}", None, 400, "bad_request") for bad in bad_ids]
    cases += [("GET", shop.path(known, bad), None, 400, "bad_request") for bad in ("CHF", "EURO")]
    cases += [("DELETE", f"/products/{bad}", None, 400, "bad_request") for bad in ("0", "x", digits)]
    cases += [("PUT", f"/products/{bad}", {"stock": 1}, 400, "bad_request") for bad in ("0", f"00{known}")]
    bodies: list[Any] = [
        {}, {"colour": "red"}, [], {"price_cents": "1250"}, {"price_cents": 12.5}, {"price_cents": True},
        {"price_cents": -1}, {"price_cents": 2_147_483_648}, {"stock": "3"}, {"stock": -5}, {"name": 7}, {"name": ""},
        {"name": seeded.name(shop.random), "stock": -1},
    ]  # fmt: skip
    cases += [("PUT", shop.path(known), body, 400, "bad_request") for body in bodies]
    new = shop.new_product(unknown)
    cases += [
        ("POST", "/products", body, 400, "bad_request")
        for body in (
            {name: value for name, value in new.items() if name != "sku"},
            {**new, "id": 0},
            {**new, "id": str(unknown)},
            {**new, "price_cents": -1},
            {**new, "stock": None},
            {**new, "name": ""},
        )
    ]
    taken = shop.sql.value("select sku from shop.product where id = :id", id=known)
    cases += [
        ("POST", "/products", {**new, "id": known}, 409, "conflict"),
        ("POST", "/products", {**new, "sku": taken}, 409, "conflict"),
        ("GET", shop.path(unknown), None, 404, "not_found"),
        ("GET", shop.path(HIGHEST_ID), None, 404, "not_found"),
        ("PUT", shop.path(unknown), {"stock": 3}, 404, "not_found"),
        ("DELETE", shop.path(unknown), None, 404, "not_found"),
    ]
    return cases
