"""The embedded log's file: what it deletes, what it refuses, what it survives."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from cdc.embedded_file import EmbeddedFile
from cdc.errors import LogError
from cdc.log.embedded import EmbeddedLog
from cdc.log.embedded_cleaner import clean
from cdc.log.embedded_reader import POLL_BYTES_MAX
from cdc.log.membership import LEASE_SECONDS
from cdc.model import Record, TopicSpec


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "log.db"


def keyed(topic: str, *pairs: tuple[str | None, str | None]) -> list[Record]:
    def data(text: str | None) -> bytes | None:
        return None if text is None else text.encode()

    return [Record(topic, 0, data(key), data(value)) for key, value in pairs]


def contents(log: EmbeddedLog, topic: str) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(m.offset, m.key, m.value) for m in log.follow(topic, {}, wait_seconds=0)]


def test_a_compacted_topic_keeps_the_last_record_of_each_key(path: Path) -> None:
    log = EmbeddedLog(path)
    log.create_topics([TopicSpec("t", compacted=True), TopicSpec("other")])
    writer = log.writer("w")
    first = [("a", "1"), ("b", "1"), ("a", "2"), (None, "x"), ("c", "1")]
    writer.write(keyed("t", *first) + keyed("other", ("a", "1"), ("a", "2")))
    assert log.clean() == 1
    writer.write(keyed("t", ("b", "2"), ("c", None), ("b", "3"), (None, "y")))
    assert log.clean() == 3
    assert log.clean() == 0
    assert contents(log, "t") == [
        (2, b"a", b"2"),
        (3, None, b"x"),
        (6, b"c", None),
        (7, b"b", b"3"),
        (8, None, b"y"),
    ]
    assert len(contents(log, "other")) == 2
    assert log.end_offsets("t") == {("t", 0): 9}


def test_a_reader_passes_over_what_compaction_took(path: Path) -> None:
    log = EmbeddedLog(path)
    log.create_topics([TopicSpec("t", compacted=True)])
    log.writer("w").write(keyed("t", ("a", "1"), ("a", "2"), ("b", "1"), ("a", "3")))
    log.clean()
    reader = log.reader(["t"], "g")
    reader.start({("t", 0): 1})
    assert [message.offset for message in reader.poll(10, 0)] == [2, 3]
    assert reader.offsets() == {("t", 0): 4}
    reader.close()


def test_retention_deletes_the_oldest_records_a_bounded_number_at_a_time(path: Path) -> None:
    log = EmbeddedLog(path)
    log.create_topics([TopicSpec("t", 2, retention_ms=60_000), TopicSpec("kept")])
    writer = log.writer("w")
    writer.write([Record(topic, i, None, b"%d" % i) for topic in ("t", "kept") for i in range(50)])
    assert log.clean() == 0
    age(path, "offset < 20", hours=1)
    file = EmbeddedFile(path, wait_seconds=1)
    assert [clean(file, 15) for _ in range(4)] == [15, 15, 10, 0]
    file.close()
    assert len(contents(log, "t")) == 10
    assert len(contents(log, "kept")) == 50


def test_a_busy_writer_deletes_by_itself_faster_than_it_writes(path: Path) -> None:
    log = EmbeddedLog(path)
    log.create_topics([TopicSpec("t", retention_ms=0)])
    writer = log.writer("w")
    for _ in range(20):
        writer.write([Record("t", 0, None, b"v")] * 3000)
    assert len(contents(log, "t")) <= 15_000
    writer.close()


def age(path: Path, where: str, *, hours: int) -> None:
    """Make the records older."""
    with sqlite3.connect(path) as file:
        file.execute(
            "update records set timestamp_ms = timestamp_ms - ? where "
            + where.replace("offset", "place & 0xfffff"),
            (hours * 3_600_000,),
        )
    file.close()


@pytest.mark.parametrize("partitions", [1, 4])
def test_large_values_come_in_small_polls(path: Path, partitions: int) -> None:
    log = EmbeddedLog(path)
    log.create_topics([TopicSpec("t", partitions)])
    size = POLL_BYTES_MAX // 4
    log.writer("w").write([Record("t", i, None, bytes(size)) for i in range(12)])
    reader = log.reader(["t"], "g")
    reader.start(None)
    counts = []
    while messages := reader.poll(100, 0):
        counts.append(len(messages))
    reader.close()
    assert sum(counts) == 12
    assert max(counts) < 8


def test_a_topic_that_is_made_later_is_read_before_the_lease_is_renewed(path: Path) -> None:
    log = EmbeddedLog(path, lease_seconds=1000)
    reader = log.reader(["late"], "g")
    reader.start(None)
    assert reader.poll(10, 0) == []
    log.create_topics([TopicSpec("late")])
    log.writer("w").write([Record("late", 0, None, b"v")])
    assert len(reader.poll(10, 10)) == 1
    reader.close()


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("not a database, but long enough to look like one " * 30)
    before = other.read_bytes()
    with pytest.raises(LogError, match=r"notes\.txt"):
        EmbeddedLog(other)
    assert other.read_bytes() == before
    with pytest.raises(LogError, match="opening"):
        EmbeddedLog(other / "below")


def test_a_file_of_a_later_format_is_refused(path: Path) -> None:
    EmbeddedLog(path).close()
    with sqlite3.connect(path) as file:
        file.execute("pragma user_version = 99")
    file.close()
    with pytest.raises(LogError, match="format 99"):
        EmbeddedLog(path)


def test_a_database_of_something_else_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as file:
        file.execute("create table mine (x)")
    file.close()
    with pytest.raises(LogError, match="something else"):
        EmbeddedLog(path)


def test_threads_that_open_a_new_file_at_once_all_succeed(path: Path) -> None:
    topics: list[int] = []

    def use(number: int) -> None:
        log = EmbeddedLog(path)
        log.create_topics([TopicSpec(f"t{number}")])
        log.writer(f"w{number}").write([Record(f"t{number}", 0, None, b"")])
        topics.append(number)
        log.close()

    threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log = EmbeddedLog(path)
    assert sorted(topics) == list(range(8))
    assert log.topics() == {f"t{number}": 1 for number in range(8)}
    log.close()


def test_closed_readers_leave_no_files_behind(path: Path) -> None:
    log = EmbeddedLog(path)
    log.create_topics([TopicSpec("t")])
    reader = log.reader(["t"], "g")
    reader.start(None)
    assert len(list(path.parent.glob("*-member-*"))) == 1
    reader.close()
    assert not list(path.parent.glob("*-member-*"))
    log.close()


def test_a_reader_that_is_not_closed_but_gone_is_replaced_without_waiting(path: Path) -> None:
    log = EmbeddedLog(path)
    log.create_topics([TopicSpec("t")])
    log.writer("w").write([Record("t", 0, None, b"v")])
    gone = log.reader(["t"], "g")
    gone.start(None)
    gone._membership._let_go()  # what the end of a process does
    reader = log.reader(["t"], "g")
    reader.start(None)
    assert len(reader.poll(10, 0)) == 1
    assert LEASE_SECONDS > 5
    reader.close()
