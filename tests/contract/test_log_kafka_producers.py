"""How records get into Kafka's client: blocks by the fast lane, and without a transaction."""

from __future__ import annotations

import secrets

import pytest

import cdc.capture
from cdc.errors import LogError
from cdc.log import kafka_producer
from cdc.log.kafka import KafkaLog
from cdc.model import ID_HEADER, REVISION_HEADER, Record
from tests.blocks import block_of
from tests.contract.logs import new_name, new_topic, read_all, records, values


def own_headers(number: int) -> list[tuple[str, bytes]]:
    return [(REVISION_HEADER, number.to_bytes(8, "big")), (ID_HEADER, b"shop/tx:1/%d" % number)]


@pytest.fixture(params=["fast", "by objects"])
def log(
    request: pytest.FixtureRequest, kafka_address: str, monkeypatch: pytest.MonkeyPatch
) -> KafkaLog:
    """Kafka, written to in both ways."""
    if request.param == "by objects":
        monkeypatch.setattr(kafka_producer, "handover", None)
    elif not cdc.capture.is_compiled():
        pytest.skip("the fast lane is part of the compiled form")
    return KafkaLog(kafka_address)


def test_the_fast_lane_is_open_for_the_client_that_is_locked(kafka_address: str) -> None:
    writer = KafkaLog(kafka_address).writer(new_name())
    assert writer.is_fast == cdc.capture.is_compiled()


def test_a_block_arrives_as_its_records_do(log: KafkaLog) -> None:
    one, two = new_topic(log, 3), new_topic(log, 1)
    written = [
        Record(one, 0, b"k0", b"v0", own_headers(1)),
        Record(two, 5, None, b"no key", own_headers(2)),
        Record(one, 1, b"", b"", own_headers(3)),
        Record(one, 4, b"changed", b"d", [*own_headers(4), ("__debezium.newkey", b"n")]),
        Record(one, 4, b"changed", None),
        Record(two, 7, b"plain", b"no headers"),
        Record(one, 0x7FFFFFFF, b"k1", b"v1", own_headers(5)),
    ]
    log.writer(new_name()).write(block_of(written), checkpoint=b"c")
    for topic, partitions in ((one, 3), (two, 1)):
        found = [(m.partition, m.key, m.value, list(m.headers)) for m in read_all(log, topic)]
        expected = [
            (r.place % partitions, r.key, r.value, list(r.headers))
            for r in written
            if r.topic == topic
        ]
        assert sorted(found, key=lambda m: m[0]) == sorted(expected, key=lambda r: r[0])


def test_a_block_larger_than_the_client_s_queue_waits_for_room(log: KafkaLog) -> None:
    small = KafkaLog(
        log._servers.bootstrap_servers, {"queue.buffering.max.messages": 100, "linger.ms": 1}
    )
    topic = new_topic(log)
    written = [Record(topic, 0, b"k", b"%d" % i, own_headers(i)) for i in range(1000)]
    small.writer(new_name()).write(block_of(written))
    assert values(read_all(log, topic)) == [r.value for r in written]


def test_a_block_for_a_topic_that_isn_t_there_leaves_nothing(log: KafkaLog) -> None:
    topic, name = new_topic(log), new_name()
    writer = log.writer(name)
    bad = [*records(topic, 50), Record("nowhere.at.all", 0, None, b"")]
    with pytest.raises(LogError, match=r"nowhere\.at\.all"):
        writer.write(block_of(bad), checkpoint=b"2")
    writer.write(block_of(records(topic, 1, "after")), checkpoint=b"3")
    assert values(read_all(log, topic)) == [b"after 0"]


def test_a_block_with_a_record_too_large_is_refused_by_its_size(log: KafkaLog) -> None:
    topic = new_topic(log)
    large = [*records(topic, 3), Record(topic, 0, b"k", b"x" * 2_000_000)]
    writer = log.writer(new_name())
    with pytest.raises(LogError, match=rf"2000001 bytes, for {topic}"):
        writer.write(block_of(large))
    writer.write(block_of(records(topic, 1, "after")))
    assert values(read_all(log, topic)) == [b"after 0"]


# At least once


def test_acknowledged_records_and_their_checkpoint_are_there(kafka_address: str) -> None:
    log, name = KafkaLog(kafka_address), new_name()
    topic = new_topic(log)
    writer = log.acknowledged_writer(name)
    assert writer.last_checkpoint() is None
    for batch in range(3):
        writer.write(block_of(records(topic, 2, f"batch {batch}")), checkpoint=b"%d" % batch)
    assert len(read_all(log, topic)) == 6
    writer.close()
    assert log.acknowledged_writer(name).last_checkpoint() == b"2"
    assert log.writer(name).last_checkpoint() == b"2"


def test_what_a_transaction_left_open_is_settled_first(kafka_address: str) -> None:
    log, name = KafkaLog(kafka_address), new_name()
    writer = log.writer(name)
    writer.write([], checkpoint=b"1")
    writer._client.begin_transaction()
    writer._client.produce(f"{name}.checkpoint", b"open", key=name.encode())
    writer._client.flush(20)
    assert log.acknowledged_writer(name).last_checkpoint() == b"1"


def test_no_checkpoint_overtakes_a_record_that_was_refused(kafka_address: str) -> None:
    log = KafkaLog(kafka_address, {"message.max.bytes": 10_000_000})
    topic, name = new_topic(log), new_name()
    writer = log.acknowledged_writer(name)
    writer.write(records(topic, 1), checkpoint=b"1")
    with pytest.raises(LogError, match=rf"for {topic}"):
        writer.write([Record(topic, 0, b"k", secrets.token_bytes(3_000_000))], checkpoint=b"2")
    with pytest.raises(LogError):
        writer.write(records(topic, 1), checkpoint=b"3")
    writer.close()
    assert log.writer(name).last_checkpoint() == b"1"
