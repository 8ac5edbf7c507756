"""Tombstones of the store wait until the checkpoint that they came with is acknowledged."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from cdc.log.embedded import EmbeddedLog
from cdc.log.late_drops import LateDrops
from cdc.model import Record, TopicSpec
from cdc.records import Joined


def test_tombstones_of_the_topic_come_two_writes_later_and_all_else_at_once(tmp_path: Path) -> None:
    with closing(EmbeddedLog(tmp_path / "log.db")) as log:
        log.create_topics([TopicSpec("kept"), TopicSpec("t")])
        writer = LateDrops(log.writer("c"), "kept")

        def all_of(topic: str) -> list[bytes | None]:
            return [one.value for one in log.follow(topic, {}, wait_seconds=0)]

        writer.write([Record("kept", 0, b"a", b"1"), Record("t", 0, b"a", None)], checkpoint=b"1")
        assert all_of("kept") == [b"1"]
        assert all_of("t") == [None]
        drop = Record("kept", 0, b"a", None)
        writer.write(Joined([[drop], [Record("t", 0, b"b", b"x")]]), checkpoint=b"2")
        assert all_of("t") == [None, b"x"]
        writer.write([], checkpoint=b"3")
        assert all_of("kept") == [b"1"]
        writer.write([], checkpoint=b"4")
        assert all_of("kept") == [b"1", None]
        writer.write([], checkpoint=b"5")
        assert all_of("kept") == [b"1", None]
        assert writer.last_checkpoint() == b"5"
        writer.close()
