"""What every log promises of records, transactions and checkpoints: Kafka and the embedded one."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Iterator

import pytest

from cdc.errors import Fenced, LogError, Unreachable
from cdc.model import Record
from cdc.ports import Log
from tests.contract.logs import (
    WAIT_SECONDS,
    Place,
    new_name,
    new_topic,
    read_all,
    records,
    values,
    wait_for,
)

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
