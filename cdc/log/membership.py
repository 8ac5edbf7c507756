"""A reader's membership in a group of the embedded log: which partitions it may read now.

A partition has one holder, its claim. A member gives a partition up only itself, inside `settle`,
so what it read before is written by then; or it is found dead. Dead is who let go of the lock on
its file, as a process does that ends in any way, or who didn't renew its lease in time.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from cdc.embedded_file import EmbeddedFile
from cdc.errors import Unreachable
from cdc.log.assignment import assign

LEASE_SECONDS = 10.0
RENEWALS_PER_LEASE = 3


class Membership:
    """One member of a group."""

    def __init__(
        self, file: EmbeddedFile, group: str, topics: Sequence[str], *, lease_seconds: float
    ) -> None:
        self._file = file
        self._group = group
        self._topics = frozenset(topics)
        self._lease_seconds = lease_seconds
        self.member = 0
        """Another number after the others took this member for dead."""
        self._lock = -1
        self._seen_version = -1
        self._renew_at = 0.0

    def is_renewal_due(self) -> bool:
        return time.monotonic() >= self._renew_at

    def has_changed(self) -> bool:
        """Whether members or topics came or went since `settle`."""
        rows = self._file.rows(
            f"reading group {self._group}",
            "select version from groups where name = ?",
            (self._group,),
        )
        return not rows or rows[0][0] != self._seen_version

    def settle(self) -> dict[int, tuple[str, int]]:
        """Renew the lease, give up and claim partitions; partition id → its name and number."""
        with self._file.transaction(f"joining group {self._group}") as connection:
            execute = connection.execute
            execute("insert into groups values (?, 0) on conflict do nothing", (self._group,))
            changed = self._join_or_renew(connection)
            changed |= self._bury_the_dead(connection)
            names = self._partitions(connection)
            changed |= self._exchange(connection, names)
            if changed:
                execute("update groups set version = version + 1 where name = ?", (self._group,))
            (self._seen_version,) = execute(
                "select version from groups where name = ?", (self._group,)
            ).fetchone()
            mine = execute(
                "select partition from claims where member_group = ? and member = ?",
                (self._group, self.member),
            )
            claimed = {partition: names[partition] for (partition,) in mine if partition in names}
        self._renew_at = time.monotonic() + self._lease_seconds / RENEWALS_PER_LEASE
        return claimed

    def commit_offsets(self, connection: sqlite3.Connection, offsets: dict[int, int]) -> None:
        """Keep the group's offsets, in the caller's transaction, if all partitions are still ours.

        Invariant 1: a member that lost one of them commits nothing."""
        held = {
            partition
            for (partition,) in connection.execute(
                "select partition from claims where member_group = ? and member = ?",
                (self._group, self.member),
            )
        }
        if not held.issuperset(offsets):
            raise Unreachable(
                f"committing the offsets of group {self._group}: this member's partitions went to"
                " another; nothing was written",
                hint="open a new reader; if it comes often, write smaller batches",
            )
        connection.executemany(
            "insert into group_offsets values (?, ?, ?)"
            " on conflict do update set next = excluded.next",
            [(self._group, partition, offset) for partition, offset in offsets.items()],
        )
        connection.execute(
            "update members set lease_until_ms = ? where id = ?", (self._until(), self.member)
        )

    def leave(self) -> None:
        """Give all partitions up and leave the group."""
        if not self.member:
            return
        with self._file.transaction(f"leaving group {self._group}") as connection:
            self._remove(connection, [self.member])
            connection.execute(
                "update groups set version = version + 1 where name = ?", (self._group,)
            )
        self.member = 0
        self._let_go()

    def _until(self) -> int:
        return int((time.time() + self._lease_seconds) * 1000)

    def _join_or_renew(self, connection: sqlite3.Connection) -> bool:
        """Renew the lease; join, anew if the others took this member for dead."""
        renewed = connection.execute(
            "update members set lease_until_ms = ? where id = ?", (self._until(), self.member)
        )
        if renewed.rowcount:
            return False
        self._let_go()
        topics = json.dumps(sorted(self._topics))
        (self.member,) = connection.execute(
            "insert into members (member_group, topics, lease_until_ms) values (?, ?, ?)"
            " returning id",
            (self._group, topics, self._until()),
        ).fetchone()
        path = self._lock_path(self.member)
        self._lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True

    def _bury_the_dead(self, connection: sqlite3.Connection) -> bool:
        now = int(time.time() * 1000)
        # A lease from the far future is from before the clock was set back.
        latest = now + 2 * int(self._lease_seconds * 1000)
        others = connection.execute(
            "select id, lease_until_ms from members where member_group = ? and id <> ?",
            (self._group, self.member),
        ).fetchall()
        dead = [
            member
            for member, until in others
            if not now <= until <= latest or _is_free(self._lock_path(member))
        ]
        self._remove(connection, dead)
        return bool(dead)

    def _remove(self, connection: sqlite3.Connection, members: Collection[int]) -> None:
        for member in members:
            connection.execute("delete from claims where member = ?", (member,))
            connection.execute("delete from members where id = ?", (member,))
            self._lock_path(member).unlink(missing_ok=True)

    def _partitions(self, connection: sqlite3.Connection) -> dict[int, tuple[str, int]]:
        rows = connection.execute(
            "select partitions.id, topics.name, number"
            " from partitions join topics on topics.id = topic"
        )
        return {partition: (name, number) for partition, name, number in rows}

    def _exchange(self, connection: sqlite3.Connection, names: dict[int, tuple[str, int]]) -> bool:
        """Give up what is another's share, claim what is ours and free."""
        members = {
            member: frozenset(json.loads(topics))
            for member, topics in connection.execute(
                "select id, topics from members where member_group = ?", (self._group,)
            )
        }
        claims = dict(
            connection.execute(
                "select partition, member from claims where member_group = ?", (self._group,)
            ).fetchall()
        )
        wanted = frozenset[str]().union(*members.values())
        ids = {place: partition for partition, place in names.items() if place[0] in wanted}
        held = {names[partition]: member for partition, member in claims.items()}
        shares = assign(members, ids, held)
        ours = {ids[place] for place, member in shares.items() if member == self.member}
        given_up = [p for p, member in claims.items() if member == self.member and p not in ours]
        claimed = sorted(ours - claims.keys())
        connection.executemany(
            "delete from claims where member_group = ? and partition = ?",
            [(self._group, partition) for partition in given_up],
        )
        connection.executemany(
            "insert into claims values (?, ?, ?)",
            [(self._group, partition, self.member) for partition in claimed],
        )
        return bool(given_up or claimed)

    def _lock_path(self, member: int) -> Path:
        return self._file.path.with_name(f"{self._file.path.name}-member-{member}")

    def _let_go(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _is_free(path: Path) -> bool:
    """Whether nobody holds the lock on the file; a file that is gone is free."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
