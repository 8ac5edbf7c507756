"""What every log promises to consumer groups and their members."""

from __future__ import annotations

import secrets
import signal

import pytest

from cdc.errors import LogError, Unreachable
from cdc.model import Message, Record, TopicSpec
from cdc.ports import Log
from tests.contract.logs import (
    WAIT_SECONDS,
    Place,
    new_name,
    new_topic,
    polled,
    polled_by,
    read_all,
    records,
    values,
    wait_for,
)


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
    assert one.offsets().keys() <= one.lag().keys()  # what it gave up it doesn't commit again

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
    with pytest.raises(Unreachable, match="nothing was written"):
        log.writer(new_name()).write(records(target, 1, "late"), reader=silent)
    log.writer(new_name()).write(records(target, 1, "right"), reader=other)
    other.close()  # also when nobody else is left in the group
    with pytest.raises(Unreachable, match="nothing was written"):
        log.writer(new_name()).write(records(target, 1, "late"), reader=silent)
    assert values(read_all(log, target)) == [b"right 0"]
    silent.close()


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
