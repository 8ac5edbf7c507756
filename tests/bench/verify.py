"""What came out at the destination against what went in: count, order, content."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

FAULTS_SHOWN_MAX = 5


class Change(NamedTuple):
    """One change event as it was read at the destination."""

    offset: int
    key: int
    version: int
    place: tuple[str, int, int]
    """File, position and row in the source."""
    checksum: int
    before: int
    """The version of the row before; 0 if there was none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found."""

    changes: int
    faults: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        return not self.faults


def verify(
    changes: Iterable[Change],
    *,
    orders: int,
    first_version: int = 1,
    last_version: int = 1,
    digest: tuple[int, int],
) -> Verdict:
    """Checks that each of the orders 1 … came with each of its versions once, in order.

    `changes` are those of one partition, as read. Places in the source must rise, too, so that
    the order of different keys' changes is checked as well. `digest` is what the source's table
    holds in the end: rows, and the sum of checksums; only the last version of each counts."""
    count_wanted = orders * (last_version - first_version + 1)
    last_versions: dict[int, int] = {}
    faults: list[str] = []
    fault_count = count = checksums = 0
    place: tuple[str, int, int] = ("", 0, 0)

    def fault(text: str) -> None:
        nonlocal fault_count
        fault_count += 1
        if len(faults) < FAULTS_SHOWN_MAX:
            faults.append(text)

    for change in changes:
        count += 1
        wanted = last_versions.get(change.key, first_version - 1) + 1
        if change.version != wanted:
            fault(
                f"offset {change.offset}: order {change.key} comes in version {change.version},"
                f" expected was {wanted}"
            )
        if change.before != change.version - 1:
            fault(
                f"offset {change.offset}: order {change.key} was in version {change.before} before"
                f" version {change.version}"
            )
        if change.place <= place:
            fault(f"offset {change.offset}: {change.place} comes after {place} in the source")
        last_versions[change.key] = change.version
        place = change.place
        if change.version == last_version:
            checksums += change.checksum
    if count != count_wanted:
        fault(f"{count} changes came, {count_wanted} were made")
    for key in range(1, orders + 1):
        if last_versions.get(key) != last_version:
            fault(f"order {key} ends in version {last_versions.get(key)}, not in {last_version}")
    if digest != (len(last_versions), checksums):
        fault(f"rows and checksums are {len(last_versions)}, {checksums}; the source has {digest}")
    if fault_count > len(faults):
        faults.append(f"and {fault_count - len(faults)} more")
    return Verdict(count, tuple(faults))
