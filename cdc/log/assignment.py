"""Which member of a group reads which partition."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def assign(
    members: Mapping[int, Collection[str]],
    partitions: Collection[tuple[str, int]],
    held: Mapping[tuple[str, int], int],
) -> Mapping[tuple[str, int], int]:
    """Partition → member, even over the members; a member keeps what it may keep.

    The same arguments give the same answer, so every member comes to it on its own."""
    if not members:
        return {}
    chosen: dict[tuple[str, int], int] = {}
    load = dict.fromkeys(sorted(members), 0)
    each, left_over = divmod(len(partitions), len(members))
    for place in sorted(partitions):
        holder = held.get(place)
        if holder is None or place[0] not in members.get(holder, ()):
            continue
        if load[holder] < each or (load[holder] == each and left_over > 0):
            left_over -= load[holder] == each
            load[holder] += 1
            chosen[place] = holder
    for place in sorted(partitions):
        readers = [member for member in load if place[0] in members[member]]
        if place not in chosen and readers:
            member = min(readers, key=load.__getitem__)
            load[member] += 1
            chosen[place] = member
    return chosen
