"""What every log promises: Kafka on a real broker, and the embedded one."""

from __future__ import annotations

import secrets
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from cdc.errors import Fenced, LogError, Unreachable
from cdc.log.embedded import EmbeddedLog
from cdc.log.kafka import KafkaLog
from cdc.model import Message, Record, TopicSpec
from cdc.ports import Log, LogReader
from tests.contract.log_child import open_log

WAIT_SECONDS = 40.0


@dataclass
class Place:
    """One kind of log, somewhere; opened as often as a test likes."""

    kind: str
    address: str
    opened: list[Log] = field(default_factory=list)
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    def open(self) -> Log:
        log = open_log(self.kind, self.address)
        self.opened.append(log)
        return log

    def child(self, job: str, topic: str, name: str) -> subprocess.Popen[str]:
        """A process of its own on the same log."""
        command = [sys.executable, "-m", "tests.contract.log_child"]
        process = subprocess.Popen(
            [*command, job, self.kind, self.address, topic, name],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.children.append(process)
        return process

    def has_uncommitted(self, topic: str) -> bool:
        """Whether a hanging transaction's records have left their process, where they can."""
        if self.kind == "embedded":
            return True
        settings = {"bootstrap.servers": self.address, "group.id": "look"}
        consumer = Consumer({**settings, "isolation.level": "read_uncommitted"})
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1] > 0
        finally:
            consumer.close()

    def expire(self, topic: str, offset: int) -> None:
        """Let retention delete partition 0 up to `offset`."""
        if self.kind == "embedded":
            with sqlite3.connect(self.address) as file:
                file.execute(
                    "update records set timestamp_ms = 0 where place & 0xfff < ?", [offset]
                )
                file.execute("update topics set retention_ms = 1000")
            EmbeddedLog(self.address).clean()
            return
        admin = AdminClient({"bootstrap.servers": self.address})
        for answer in admin.delete_records([TopicPartition(topic, 0, offset)]).values():
            answer.result()

    def close(self) -> None:
        for process in self.children:
            process.kill()
            process.communicate()
        for log in self.opened:
            log.close()


@pytest.fixture(params=["embedded", "kafka"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind = request.param
    address = (
        str(tmp_path / "log.db") if kind == "embedded" else request.getfixturevalue("kafka_address")
    )
    found = Place(kind, address)
    yield found
    found.close()


@pytest.fixture
def log(place: Place) -> Log:
    return place.open()


def new_topic(log: Log, partitions: int = 1) -> str:
    topic = f"shop.t{secrets.token_hex(5)}.orders"
    assert log.create_topics([TopicSpec(topic, partitions)]) == []
    return topic


def new_name() -> str:
    return f"w{secrets.token_hex(5)}"


def records(topic: str, count: int, word: str = "value") -> list[Record]:
    return [Record(topic, i, b"k%d" % i, f"{word} {i}".encode()) for i in range(count)]


def read_all(log: Log, topic: str) -> list[Message]:
    return list(log.follow(topic, {}, wait_seconds=0))


def values(messages: Sequence[Message]) -> list[bytes | None]:
    return [message.value for message in messages]


def polled(reader: LogReader, count: int) -> list[Message]:
    """At least `count` messages, within a bound."""
    found: list[Message] = []
    deadline = time.monotonic() + WAIT_SECONDS
    while len(found) < count:
        assert time.monotonic() < deadline, f"{len(found)} of {count} messages came"
        found += reader.poll(100, 0.2)
    return found


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"


# Records


def test_a_partition_keeps_the_order_in_which_it_was_written(log: Log) -> None:
    topic = new_topic(log, 3)
    writer = log.writer(new_name())
    for first in range(0, 300, 100):
        writer.write([Record(topic, i, None, b"%d" % i) for i in range(first, first + 100)])
    found = read_all(log, topic)
    for partition in range(3):
        own = [message for message in found if message.partition == partition]
        assert values(own) == [b"%d" % i for i in range(partition, 300, 3)]
        offsets = [message.offset for message in own]
        assert offsets == sorted(set(offsets))


def test_a_record_lies_in_partition_place_modulo_their_number(log: Log) -> None:
    topic = new_topic(log, 4)
    places = [0, 1, 5, 0x7FFFFFFF, 0x7FFFFFFE, 1234567]
    log.writer(new_name()).write([Record(topic, p, None, b"%d" % p) for p in places])
    assert {(m.value, m.partition) for m in read_all(log, topic)} == {
        (b"%d" % p, p % 4) for p in places
    }


def test_null_and_empty_keys_values_and_headers_come_back_as_they_were(log: Log) -> None:
    topic = new_topic(log)
    headers = [("a", b"1"), ("b", b""), ("a", b"\x00\xff"), ("größe", b"x" * 300)]
    written = [
        Record(topic, 0, None, b"no key"),
        Record(topic, 0, b"", b""),
        Record(topic, 0, b"tombstone", None),
        Record(topic, 0, b"headers", b"v", headers),
        Record(topic, 0, b"headers", None, tuple(headers)),
    ]
    before = int(time.time() * 1000)
    log.writer(new_name()).write(written)
    found = read_all(log, topic)
    assert [(m.key, m.value, list(m.headers)) for m in found] == [
        (r.key, r.value, list(r.headers)) for r in written
    ]
    assert all(abs(m.timestamp_ms - before) < 600_000 for m in found)


def test_a_value_of_half_a_megabyte_comes_back(log: Log) -> None:
    topic = new_topic(log)
    value = secrets.token_bytes(500_000)
    log.writer(new_name()).write([Record(topic, 0, b"k", value)])
    assert values(read_all(log, topic)) == [value]


# Transactions


def test_a_write_that_fails_at_its_end_leaves_nothing(log: Log) -> None:
    topic, name = new_topic(log), new_name()
    writer = log.writer(name)
    writer.write(records(topic, 2, "first"), checkpoint=b"1")
    with pytest.raises(LogError, match=r"nowhere\.at\.all"):
        bad = [*records(topic, 50, "failed"), Record("nowhere.at.all", 0, None, b"")]
        writer.write(bad, checkpoint=b"2")
    assert writer.last_checkpoint() == b"1"
    writer.write(records(topic, 1, "after"), checkpoint=b"3")
    assert values(read_all(log, topic)) == [b"first 0", b"first 1", b"after 0"]
    assert writer.last_checkpoint() == b"3"


def test_an_error_of_the_records_themselves_aborts_and_comes_out_as_it_is(log: Log) -> None:
    topic = new_topic(log)
    writer = log.writer(new_name())

    class Broken(list[Record]):
        def __iter__(self) -> Iterator[Record]:
            yield from records(topic, 50)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        writer.write(Broken(records(topic, 1)))
    writer.write(records(topic, 1, "after"))
    assert values(read_all(log, topic)) == [b"after 0"]


def test_a_process_killed_in_a_transaction_leaves_nothing_and_is_replaced_at_once(
    place: Place, log: Log
) -> None:
    topic, name = new_topic(log), new_name()
    earlier = log.writer(name)
    earlier.write(records(topic, 3, "before"), checkpoint=b"before")
    earlier.close()
    child = place.child("hang_in_transaction", topic, name)
    assert child.stdout is not None
    assert child.stdout.readline() == "hanging\n"
    wait_for(lambda: place.has_uncommitted(topic), "the records of the open transaction")
    assert values(read_all(log, topic)) == [b"before 0", b"before 1", b"before 2"]

    child.send_signal(signal.SIGKILL)
    child.wait()
    writer = log.writer(name)
    assert writer.last_checkpoint() == b"before"
    writer.write(records(topic, 1, "after"), checkpoint=b"after")
    expected = [b"before 0", b"before 1", b"before 2", b"after 0"]
    assert values(read_all(log, topic)) == expected
    assert log.writer(name).last_checkpoint() == b"after"


def test_a_second_writer_of_the_same_name_fences_the_first(log: Log) -> None:
    topic, name = new_topic(log), new_name()
    first = log.writer(name)
    first.write(records(topic, 1, "first"), checkpoint=b"1")
    second = log.writer(name)
    with pytest.raises(Fenced):
        first.write(records(topic, 1, "fenced"), checkpoint=b"fenced")
    second.write(records(topic, 1, "second"), checkpoint=b"2")
    with pytest.raises((Fenced, Unreachable)):
        first.write(records(topic, 1, "fenced"), checkpoint=b"fenced")
    assert values(read_all(log, topic)) == [b"first 0", b"second 0"]
    assert second.last_checkpoint() == b"2"


def test_writers_of_different_names_don_t_fence_each_other(log: Log) -> None:
    topic = new_topic(log)
    one, two = log.writer(new_name()), log.writer(new_name())
    one.write(records(topic, 1, "one"), checkpoint=b"1")
    two.write(records(topic, 1, "two"), checkpoint=b"2")
    one.write(records(topic, 1, "one"))
    assert (one.last_checkpoint(), two.last_checkpoint()) == (b"1", b"2")
    assert values(read_all(log, topic)) == [b"one 0", b"two 0", b"one 0"]


def test_several_processes_write_to_one_log_at_once(place: Place, log: Log) -> None:
    topic = new_topic(log, 3)
    names = [new_name() for _ in range(3)]
    children = [place.child("write_much", topic, name) for name in names]
    assert [child.wait(WAIT_SECONDS) for child in children] == [0, 0, 0]
    found = read_all(log, topic)
    for name in names:
        for partition in range(3):
            own = [m for m in found if m.key == name.encode() and m.partition == partition]
            assert values(own) == [b"%d" % i for i in range(partition, 2000, 3)]
        assert log.writer(name).last_checkpoint() == b"1999"


# Checkpoints


def test_a_new_name_has_no_checkpoint(log: Log) -> None:
    assert log.writer(new_name()).last_checkpoint() is None


def test_the_last_checkpoint_is_found_after_reopening(place: Place, log: Log) -> None:
    topic, name = new_topic(log), new_name()
    writer = log.writer(name)
    for number in range(100):
        writer.write(records(topic, 1), checkpoint=b"%d" % number)
    writer.write(records(topic, 1))
    writer.close()
    assert place.open().writer(name).last_checkpoint() == b"99"


def test_a_checkpoint_needs_no_records(log: Log) -> None:
    name = new_name()
    writer = log.writer(name)
    writer.write([], checkpoint=b"")
    assert writer.last_checkpoint() == b""
    writer.write([], checkpoint=b"x" * 100_000)
    assert log.writer(name).last_checkpoint() == b"x" * 100_000


# Groups


def test_a_group_goes_on_where_its_last_write_committed(log: Log) -> None:
    topic, target, group = new_topic(log, 2), new_topic(log), new_name()
    log.writer(new_name()).write(records(topic, 10))
    reader, writer = log.reader([topic], group), log.writer(new_name())
    reader.start(None)
    assert len(polled(reader, 10)) == 10
    writer.write(records(target, 1), reader=reader)
    log.writer(new_name()).write(records(topic, 4, "new"))
    uncommitted = polled(reader, 4)
    reader.close()

    again = log.reader([topic], group)
    again.start(None)
    found = polled(again, 4)
    again.close()
    assert sorted(found) == sorted(uncommitted)
    assert {m.value for m in found} == {b"new 0", b"new 1", b"new 2", b"new 3"}


def test_another_group_begins_at_the_earliest_record(log: Log) -> None:
    topic = new_topic(log)
    writer = log.writer(new_name())
    writer.write(records(topic, 3))
    for _ in range(2):
        reader = log.reader([topic], new_name())
        reader.start(None)
        assert len(polled(reader, 3)) == 3
        writer.write([], reader=reader)
        reader.close()


def test_a_failed_write_leaves_the_group_where_it_was(log: Log) -> None:
    topic, group = new_topic(log), new_name()
    writer = log.writer(new_name())
    writer.write(records(topic, 3))
    reader = log.reader([topic], group)
    reader.start(None)
    polled(reader, 3)
    with pytest.raises(LogError):
        writer.write([Record("nowhere.at.all", 0, None, b"")], reader=reader)
    reader.close()
    again = log.reader([topic], group)
    again.start(None)
    assert len(polled(again, 3)) == 3
    again.close()


def test_two_members_share_the_partitions_and_each_record_is_read_once(log: Log) -> None:
    topic, target, group = new_topic(log, 4), new_topic(log), new_name()
    source, writer = log.writer(new_name()), log.writer(new_name())
    one, two = log.reader([topic], group), log.reader([topic], group)
    read: dict[str, list[Message]] = {"one": [], "two": []}

    def step() -> bool:
        for name, reader in (("one", one), ("two", two)):
            messages = reader.poll(100, 0.1)
            if messages:
                read[name] += messages
                copies = [Record(target, 0, m.key, m.value) for m in messages]
                writer.write(copies, reader=reader)
        return len(read["one"]) >= 40

    def is_shared() -> bool:
        step()
        return len(one.lag()) == len(two.lag()) == 2

    one.start(None)
    source.write(records(topic, 40, "early"))
    wait_for(step, "the first member's records")
    two.start(None)
    wait_for(is_shared, "two partitions each")
    assert not one.lag().keys() & two.lag().keys()
    source.write(records(topic, 40, "late"))

    def is_all_read() -> bool:
        step()
        return len(read["one"]) + len(read["two"]) >= 80

    wait_for(is_all_read, "all records")
    assert {m.partition for m in read["two"]} == {place[1] for place in two.lag()}
    assert len(read["two"]) == 20

    one.close()
    source.write(records(topic, 40, "last"))
    wait_for(lambda: len(polled_by(two, read["two"])) >= 60, "the records of all partitions")
    two.close()
    copied = values(read_all(log, target))
    assert sorted(copied) == sorted(  # type: ignore[type-var]
        f"{word} {i}".encode() for word in ("early", "late") for i in range(40)
    )
    found = {(m.partition, m.offset) for m in read["one"] + read["two"]}
    assert len(found) == len(read["one"]) + len(read["two"]) == 120


def polled_by(reader: LogReader, kept: list[Message]) -> list[Message]:
    kept += reader.poll(100, 0.1)
    return kept


def test_a_killed_member_s_partitions_go_to_another(place: Place, log: Log) -> None:
    topic, group = new_topic(log, 2), new_name()
    log.writer(new_name()).write(records(topic, 10))
    child = place.child("hold_partitions", topic, group)
    assert child.stdout is not None
    assert child.stdout.readline() == "hanging\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    reader = log.reader([topic], group)
    reader.start(None)
    assert len(polled(reader, 10)) == 10
    reader.close()


def test_a_member_that_lost_its_partitions_commits_nothing(log: Log) -> None:
    topic, target, group = new_topic(log), new_topic(log), new_name()
    log.writer(new_name()).write(records(topic, 5))
    silent, other = log.reader([topic], group), log.reader([topic], group)
    silent.start(None)
    polled(silent, 5)  # and then is silent for longer than its lease
    other.start(None)
    assert len(polled(other, 5)) == 5
    writer = log.writer(new_name())
    with pytest.raises(Unreachable, match="nothing was written"):
        writer.write(records(target, 1, "late"), reader=silent)
    log.writer(new_name()).write(records(target, 1, "right"), reader=other)
    assert values(read_all(log, target)) == [b"right 0"]
    silent.close()
    other.close()


def test_reading_begins_after_the_given_offsets(log: Log) -> None:
    topic, group = new_topic(log, 2), new_name()
    log.writer(new_name()).write(records(topic, 20))
    found = read_all(log, topic)
    middle = next(m for m in found if m.value == b"value 10")
    reader = log.reader([topic], group)
    reader.start({(topic, 0): middle.offset})
    assert {m.value for m in polled(reader, 15)} == {
        f"value {i}".encode() for i in range(20) if i % 2 or i >= 10
    }
    reader.close()


def test_a_topic_that_is_made_later_is_read(log: Log) -> None:
    topic = f"shop.late.t{secrets.token_hex(5)}"
    early = new_topic(log)
    reader = log.reader([early, topic], new_name())
    reader.start(None)
    writer = log.writer(new_name())
    writer.write(records(early, 1))
    assert len(polled(reader, 1)) == 1
    log.create_topics([TopicSpec(topic, 2)])
    writer.write(records(topic, 4))
    assert {m.topic for m in polled(reader, 4)} == {topic}
    reader.close()


def test_a_reader_is_told_when_retention_deleted_what_it_had_to_read(
    place: Place, log: Log
) -> None:
    topic, group = new_topic(log), new_name()
    log.writer(new_name()).write(records(topic, 10))
    place.expire(topic, 6)
    fresh = log.reader([topic], new_name())
    fresh.start(None)
    assert values(polled(fresh, 4)) == [f"value {i}".encode() for i in range(6, 10)]
    fresh.close()
    late = log.reader([topic], group)
    late.start({(topic, 0): 3})
    with pytest.raises(LogError, match="retention"):
        polled(late, 1)
    late.close()


def test_lag_and_offsets_tell_how_far_the_reader_is(log: Log) -> None:
    topic = new_topic(log, 2)
    log.writer(new_name()).write(records(topic, 10))
    reader = log.reader([topic], new_name())
    reader.start(None)
    assert reader.offsets() == {}
    first = list(reader.poll(4, WAIT_SECONDS))
    wait_for(lambda: len(reader.lag()) == 2, "both partitions")
    assert sum(reader.lag().values()) >= 6
    first += polled(reader, 10 - len(first))
    wait_for(lambda: not reader.poll(1, 0.1) and set(reader.lag().values()) == {0}, "the end")
    offsets = reader.offsets()
    for partition in range(2):
        last = max(m.offset for m in first if m.partition == partition)
        assert offsets[topic, partition] > last
    reader.close()


def test_a_poll_with_nothing_to_read_is_empty(log: Log) -> None:
    reader = log.reader([new_topic(log)], new_name())
    reader.start(None)
    assert list(reader.poll(10, 0.2)) == []
    reader.close()


# Following and topics


def test_follow_gives_what_comes_while_it_waits_and_then_ends(log: Log) -> None:
    topic = new_topic(log, 2)
    writer = log.writer(new_name())
    writer.write(records(topic, 4))
    following = log.follow(topic, {}, wait_seconds=1)
    found = [next(following) for _ in range(4)]
    writer.write(records(topic, 2, "new"))
    found += following
    assert len(found) == 6
    assert list(log.follow(new_topic(log), {}, wait_seconds=0)) == []


def test_follow_begins_at_the_given_offsets(log: Log) -> None:
    topic = new_topic(log, 2)
    log.writer(new_name()).write(records(topic, 6))
    ends = log.end_offsets(topic)
    assert list(log.follow(topic, ends, wait_seconds=0)) == []
    one = list(log.follow(topic, {(topic, 0): ends[topic, 0]}, wait_seconds=0))
    assert {m.value for m in one} == {b"value 1", b"value 3", b"value 5"}


def test_following_an_unknown_topic_names_it(log: Log) -> None:
    with pytest.raises(LogError, match=r"nowhere\.at\.all"):
        list(log.follow("nowhere.at.all", {}, wait_seconds=0))


def test_end_offsets_lie_after_the_last_record(log: Log) -> None:
    topic = new_topic(log, 2)
    assert log.end_offsets(topic) == {(topic, 0): 0, (topic, 1): 0}
    log.writer(new_name()).write(records(topic, 3))
    ends = log.end_offsets(topic)
    for message in read_all(log, topic):
        assert ends[topic, message.partition] > message.offset


def test_topics_are_created_once_and_differences_are_reported(place: Place, log: Log) -> None:
    topic = f"shop.t{secrets.token_hex(5)}.orders"
    spec = TopicSpec(topic, 3, retention_ms=3_600_000)
    assert log.create_topics([spec]) == []
    assert log.create_topics([spec]) == []
    found = place.open().create_topics([TopicSpec(topic, 6, retention_ms=-1, compacted=True)])
    assert [(d.topic, d.setting, d.wanted, d.found) for d in found] == [
        (topic, "compacted", "True", "False"),
        (topic, "partitions", "6", "3"),
        (topic, "retention_ms", "-1", "3600000"),
    ]
    assert log.topics()[topic] == 3


def test_the_writers_checkpoints_are_not_among_the_topics(log: Log) -> None:
    name = new_name()
    log.writer(name).write([], checkpoint=b"1")
    assert not [topic for topic in log.topics() if name in topic or topic.startswith("__")]


def test_a_log_that_can_t_be_reached_is_told_within_a_bound(tmp_path: Path, place: Place) -> None:
    if place.kind == "kafka":
        away: Log = KafkaLog("127.0.0.1:1", timeout_seconds=1)
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
            away.topics()
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
            away.writer(new_name())
        reader = away.reader(["t"], new_name())
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1"):
            reader.start(None)
        reader.close()
        return
    log = EmbeddedLog(place.address, timeout_seconds=0.2)
    with sqlite3.connect(place.address) as other:
        other.execute("begin immediate")
        with pytest.raises(Unreachable, match=r"log\.db was locked"):
            log.writer(new_name())
    log.close()
