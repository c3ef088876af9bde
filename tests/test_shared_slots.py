"""Slots of a cluster: the same as the servers', and the map as they show it."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcascade.shared import Shared
from fastcascade.shared.slots import SLOTS, owners_of, slot_of

KNOWN: Final = [(b"123456789", 0x31C3), (b"foo", 12182), (b"bar", 5061), (b"hello", 866), (b"", 0)]


@pytest.mark.parametrize(("key", "slot"), KNOWN)
def test_known_slots(key: bytes, slot: int) -> None:
    """These are what CLUSTER KEYSLOT says."""
    assert slot_of(key) == slot


def naive(key: bytes) -> int:
    """CRC-16 bit by bit, of the tag that the specification of clusters says."""
    begin = key.find(b"{")
    end = key.find(b"}", begin + 1) if begin >= 0 else -1
    if end > begin + 1:
        key = key[begin + 1 : end]
    crc = 0
    for byte in key:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc % SLOTS


@given(st.one_of(st.binary(), st.lists(st.sampled_from([b"{", b"}", b"a", b":"])).map(b"".join)))
def test_slots_as_specified(key: bytes) -> None:
    """Any key lies where the specification puts it, with braces wherever they stand."""
    assert slot_of(key) == naive(key)


@given(st.text(min_size=1), st.lists(st.text(), min_size=1, max_size=3), st.lists(st.text(), min_size=1, max_size=3))
def test_keys_of_one_slot_lie_together(slot: str, first: list[str], second: list[str]) -> None:
    """Keys that name one slot lie on one node, whatever they and the slot are made of."""
    shared = Shared("redis+cluster://h", prefix="p")
    assert slot_of(shared.key(*first, slot=slot)) == slot_of(shared.key(*second, slot=slot))
    assert slot_of(shared.key(*first, slot=slot)) == slot_of(
        shared.key(*first, slot=slot.encode("utf-8", "surrogatepass"))
    )


def test_keys() -> None:
    """Keys are the prefix and the parts, and another slot is another key."""
    shared = Shared("redis://h", prefix="p")
    assert shared.key("a", b"b") == b"p:a:b"
    assert shared.key("a", slot="s") == b"p:{s}:a"
    assert len({shared.key("a", slot=each) for each in ("}", "%7D", "x}", "x)", "%257D")}) == 5


def test_the_map() -> None:
    """Each slot has the primary that was shown; a node without a name is the one that was asked."""
    said = [[0, 1, [b"a", 1, b"id"], [b"r", 9, b"id"]], [3, 3, [b"", 2, b"id"]], [4, 4, [None, 3, b"id"]]]
    owners = owners_of(said, ("asked", 7))
    assert owners is not None
    assert owners[:6] == [("a", 1), ("a", 1), None, ("asked", 2), ("asked", 3), None]
    assert len(owners) == SLOTS


words = st.recursive(
    st.one_of(st.none(), st.integers(-5, 20_000), st.binary(max_size=5)), lambda inner: st.lists(inner, max_size=4)
)


@given(words)
def test_any_map_is_read_or_not(said: object) -> None:
    """Whatever a server shows is a map of all slots, or none."""
    owners = owners_of(said, ("h", 1))
    assert owners is None or len(owners) == SLOTS
