"""Who reads which partition: even, complete, the same for all, with little moved."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cdc.log.assignment import assign

PARTITIONS = [("t", number) for number in range(7)] + [("u", 0), ("u", 1)]
member_sets = st.sets(st.integers(1, 9), min_size=1)
held_by = st.dictionaries(st.sampled_from(PARTITIONS), st.integers(1, 12))


def both(members: set[int]) -> dict[int, frozenset[str]]:
    return dict.fromkeys(members, frozenset({"t", "u"}))


@given(member_sets, held_by)
def test_every_partition_has_one_reader_and_loads_differ_by_one_at_most(
    members: set[int], held: dict[tuple[str, int], int]
) -> None:
    chosen = assign(both(members), PARTITIONS, held)
    assert chosen.keys() == set(PARTITIONS)
    loads = Counter(chosen.values())
    assert loads.keys() <= members
    assert max(loads.values()) - min(loads[member] for member in members) <= 1


@given(member_sets, held_by)
def test_what_is_assigned_stays_when_nothing_changes(
    members: set[int], held: dict[tuple[str, int], int]
) -> None:
    chosen = assign(both(members), PARTITIONS, held)
    assert assign(both(members), PARTITIONS, chosen) == chosen


@given(member_sets, held_by)
def test_giving_up_and_claiming_one_by_one_ends_at_an_even_share(
    members: set[int], held: dict[tuple[str, int], int]
) -> None:
    """A partition goes from one to another only after the first gave it up."""
    claims = {place: member for place, member in held.items() if member in members}
    for _ in range(3):
        for member in sorted(members):
            shares = assign(both(members), PARTITIONS, claims)
            for place in PARTITIONS:
                if shares[place] != member and claims.get(place) == member:
                    del claims[place]
                elif shares[place] == member and place not in claims:
                    claims[place] = member
    assert claims.keys() == set(PARTITIONS)
    loads = Counter(claims.values())
    assert max(loads.values()) - min(loads[member] for member in members) <= 1


def test_a_member_reads_only_the_topics_that_it_asked_for() -> None:
    chosen = assign({1: frozenset({"t"}), 2: frozenset({"u"})}, PARTITIONS, {("u", 0): 1})
    assert {place[0] for place, member in chosen.items() if member == 1} == {"t"}
    assert {place for place, member in chosen.items() if member == 2} == {("u", 0), ("u", 1)}


def test_without_members_or_readers_nothing_is_assigned() -> None:
    assert assign({}, PARTITIONS, {}) == {}
    assert assign({1: frozenset({"other"})}, PARTITIONS, {}) == {}
