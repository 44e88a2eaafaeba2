"""Subnets and addresses."""

from __future__ import annotations

from itertools import islice

import pytest

from roadmap_labs.engine import subnets
from roadmap_labs.errors import WrongUse


def test_begins_anywhere_and_goes_round_once() -> None:
    found = list(subnets.candidates((), start=2, of="10.9.0.0/26"))
    assert found == ["10.9.0.32/28", "10.9.0.48/28", "10.9.0.0/28", "10.9.0.16/28"]


def test_leaves_out_what_overlaps_with_anything_taken() -> None:
    taken = ["10.9.0.0/27", "10.9.0.49/32", "fd00::/64", "192.168.0.0/16"]
    assert list(subnets.candidates(taken, start=0, of="10.9.0.0/26")) == ["10.9.0.32/28"]


def test_start_may_be_any_number() -> None:
    assert next(subnets.candidates((), start=10**9)).startswith("10.213.")
    assert len(set(islice(subnets.candidates((), start=4095), 4096))) == 4096


def test_pool_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(subnets.VARIABLE, "172.30.5.0/28")
    assert list(subnets.candidates((), start=7)) == ["172.30.5.0/28"]


@pytest.mark.parametrize("text", ["10.0.0.0/30", "nonsense", "10.0.0.1/16", "fd00::/64"])
def test_pool_that_can_not_be_used_is_named(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(subnets.VARIABLE, text)
    with pytest.raises(WrongUse, match=subnets.VARIABLE):
        next(subnets.candidates((), start=0))


def test_addresses_leave_the_gateway_alone() -> None:
    assert subnets.address("10.9.0.16/28", 2) == "10.9.0.18"
    assert subnets.address("10.9.0.16/28", subnets.MOST_ADDRESSES + 1) == "10.9.0.30"
    for index in (0, 1, 15, 16, -1):
        with pytest.raises(ValueError, match="no address"):
            subnets.address("10.9.0.16/28", index)
