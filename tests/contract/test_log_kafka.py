"""What only Kafka can do to a log: brokers that go away, limits, other producers."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions

from cdc.errors import CdcError, Fenced, LogError, Unreachable
from cdc.log.kafka import KafkaLog
from cdc.log.kafka_client import Servers
from cdc.log.kafka_topics import KafkaTopics
from cdc.log.kafka_writer import KafkaWriter
from cdc.model import Record, TopicSpec
from cdc.services import Server
from cdc.services import kafka as kafka_service
from tests.connectors import wait_until
from tests.contract.logs import (
    new_name,
    new_topic,
    polled,
    read_all,
    records,
    values,
)
from tests.kafka_operator import BROKER, tell_ended, tool
from tests.services_plugin import held

BATCHES = 10
SLOW_SECONDS = 0.01
SLOW_RECORDS_MAX = 2_000


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker that may be frozen and killed."""
    with held(tmp_path_factory.mktemp("broker"), kafka_service.start) as server:
        yield server


def is_settled(topics: KafkaTopics, names: list[str]) -> bool:
    """Whether no transaction is open in the topics."""
    places = [(name, part) for name in names for part in range(topics.partitions(name))]
    return topics.offsets(places) == topics.offsets(places, committed_only=False)


def write_all(log: KafkaLog, topic: str, name: str, broker: Server, fault: str) -> int:
    """Write ten batches, going on after the last checkpoint; in the fifth the broker fails."""
    failures = 0
    writer: KafkaWriter | None = None
    done = 0
    while done < BATCHES:
        try:
            if writer is None:
                writer = log.writer(name)
                done = int(writer.last_checkpoint() or b"0")
            if done == 4 and failures == 0:
                {"pause": broker.pause, "kill": broker.kill}[fault]()
            batch = [Record(topic, i, None, b"%d" % i) for i in range(100 * done, 100 * done + 100)]
            writer.write(batch, checkpoint=b"%d" % (done + 1))
            done += 1
        except Unreachable:
            failures += 1
            assert failures < BATCHES, "the broker is back, but writing fails"
            writer = None
            {"pause": broker.resume, "kill": broker.restart}[fault]()
    return failures


@pytest.mark.parametrize("fault", ["pause", "kill"])
def test_a_broker_that_goes_away_and_returns_costs_nothing(own_broker: Server, fault: str) -> None:
    name = new_name()
    log = KafkaLog(own_broker.url, timeout_seconds=3, owns=lambda _, one: not one.startswith("__"))
    topic = new_topic(log, 2)
    reader = log.reader([topic], new_name())
    reader.start(None)
    assert write_all(log, topic, name, own_broker, fault) > 0
    found = polled(reader, 100 * BATCHES)
    reader.close()
    for partition in range(2):
        own = [message for message in found if message.partition == partition]
        assert values(own) == [b"%d" % i for i in range(partition, 100 * BATCHES, 2)]


def test_a_transaction_whose_end_a_lone_broker_forgot_is_ended(own_broker: Server) -> None:
    """A broker does so now and then; told that the transaction has ended, it does each time."""
    name = new_name()
    log = KafkaLog(own_broker.url, timeout_seconds=10, owns=lambda _, one: one.startswith(name))
    topic, checkpoints = f"{name}.rows", f"{name}.checkpoint"
    log.create_topics([TopicSpec(topic, 2, 1, retention_ms=None)])
    log.writer(name).write(records(topic, 10, "first"), checkpoint=b"1")
    forgotten = Producer({"bootstrap.servers": own_broker.url, "transactional.id": name})
    forgotten.init_transactions(20)
    forgotten.begin_transaction()
    for part in range(2):
        forgotten.produce(topic, b"forgotten", b"k", part)
    forgotten.produce(checkpoints, b"forgotten", name.encode())
    forgotten.flush(20)
    tell_ended(own_broker.url, name)
    own_broker.kill()
    own_broker.restart()
    topics = KafkaTopics(Servers(own_broker.url))
    wait_until(lambda: is_hanging(topics, topic), "nothing hangs")
    again = wait_until(lambda: opened(log, name), "no writer")
    wait_until(lambda: is_settled(topics, [topic, checkpoints]), "it hangs")
    assert again.last_checkpoint() == b"1"
    again.write(records(topic, 10, "second"), checkpoint=b"2")
    rows = [b"%s %d" % (which, n) for which in (b"first", b"second") for n in range(10)]
    assert sorted(values(read_all(log, topic))) == sorted(rows)


def opened(log: KafkaLog, name: str) -> KafkaWriter | None:
    """The writer; None while the broker isn't there yet."""
    try:
        return log.writer(name)
    except Unreachable:
        return None


def is_hanging(topics: KafkaTopics, topic: str) -> bool:
    """Whether a transaction is open in the topic; False while the broker isn't all there yet."""
    try:
        return not is_settled(topics, [topic])
    except Unreachable:
        return False


def test_a_callback_of_the_consumer_raises_our_errors_alone(kafka_address: str) -> None:
    class Silent:
        """A consumer whose broker doesn't answer."""

        def committed(self, *_: object, **__: object) -> None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    log = KafkaLog(kafka_address)
    topic = new_topic(log)
    reader = log.reader([topic], new_name())
    with pytest.raises(Unreachable, match="taking partitions as"):
        reader._assigned(Silent(), [TopicPartition(topic, 0)])  # type: ignore[arg-type]
    reader.close()
    # Closing gives partitions back: nothing is asked any more.
    reader._assigned(Silent(), [TopicPartition(topic, 0)])  # type: ignore[arg-type]


def test_a_sole_reader_takes_the_place_of_one_that_is_not_known_to_be_dead(
    kafka_address: str,
) -> None:
    log = KafkaLog(kafka_address, {"session.timeout.ms": 45_000})
    topic, group = new_topic(log, 3), new_name()
    writer = log.writer(new_name())
    writer.write(records(topic, 9))
    readers = [log.reader([topic], group, is_sole=True) for _ in range(2)]
    for reader in readers:
        reader.start(None)
        assert len(polled(reader, 9)) == 9
    with pytest.raises(Fenced):
        writer.write([], reader=readers[0])
    writer.write([], reader=readers[1])
    with pytest.raises(Fenced):
        polled(readers[0], 99)
    for reader in readers:
        reader.close()


def test_a_writer_that_is_fenced_while_it_hands_records_over_says_so(kafka_address: str) -> None:
    """The client then only says that it is of no use any more; why, it says elsewhere."""

    class Slow(list[Record]):
        def __iter__(self) -> Iterator[Record]:
            for _ in range(SLOW_RECORDS_MAX):
                yield from super().__iter__()
                time.sleep(SLOW_SECONDS)

    log, name = KafkaLog(kafka_address), new_name()
    topic = new_topic(log)
    first = log.writer(name)
    log.writer(name)
    with pytest.raises(Fenced, match="a newer one of the same name took over"):
        first.write(Slow(records(topic, 1)))


def test_a_record_that_is_too_large_is_named_with_its_topic_and_size(kafka_address: str) -> None:
    log = KafkaLog(kafka_address)
    topic = new_topic(log)
    writer = log.writer(new_name())
    with pytest.raises(LogError, match=rf"2000001 bytes, for {topic}") as raised:
        writer.write([*records(topic, 3), Record(topic, 0, b"k", b"x" * 2_000_000)])
    assert "max.message.bytes" in raised.value.hint
    writer.write(records(topic, 1, "after"))
    assert values(read_all(log, topic)) == [b"after 0"]


def test_a_record_that_only_the_broker_finds_too_large_is_named_too(kafka_address: str) -> None:
    log = KafkaLog(kafka_address, {"message.max.bytes": 10_000_000})
    topic = new_topic(log)
    with pytest.raises(LogError, match=rf"3000001 bytes, for {topic}"):
        log.writer(new_name()).write([Record(topic, 0, b"k", secrets.token_bytes(3_000_000))])


def test_another_producer_s_open_transaction_on_the_checkpoints_is_refused_until_it_ends_by_hand(
    kafka_address: str,
) -> None:
    servers = Servers(kafka_address)
    topics = KafkaTopics(servers)
    name = new_name()
    KafkaWriter(servers, topics, name, replication=1).write([], checkpoint=b"1")
    intruder = new_name()
    other = Producer({"bootstrap.servers": kafka_address, "transactional.id": intruder})
    other.init_transactions(20)
    other.begin_transaction()
    other.produce(f"{name}.checkpoint", b"intruder", key=b"intruder")
    other.flush(20)
    writer = KafkaWriter(servers, topics, name, replication=1, stable_seconds=0.5)
    with pytest.raises(
        LogError,
        match=rf"hangs in topic {name}\.checkpoint: it begins at offset 2 with a record of key"
        rf" b'intruder', written at 2.* within 0\.5 s",
    ) as hanging:
        writer.last_checkpoint()
    (producer,) = (one for one in tool(hanging.value.hint, "describe-producers") if one[-1] == "2")
    (owner,) = (one for one in tool(hanging.value.hint, "list") if one[2] == producer[0])
    assert owner[0] == intruder
    tool(hanging.value.hint, "find-hanging", broker_id=BROKER)
    tool(hanging.value.hint, "abort")
    assert writer.last_checkpoint() == b"1"


def test_who_must_read_all_is_told_of_an_open_transaction_that_may_hide_some(
    kafka_address: str,
) -> None:
    log = KafkaLog(kafka_address)
    topic = new_topic(log)
    other = Producer({"bootstrap.servers": kafka_address, "transactional.id": new_name()})
    other.init_transactions(20)
    other.begin_transaction()
    other.produce(topic, b"open", key=b"k", partition=0)
    other.flush(20)
    log.writer(new_name()).write([Record(topic, 0, b"k", b"hidden")])
    assert read_all(log, topic) == []
    with pytest.raises(Unreachable, match=f"topic {topic} can't be read to its end"):
        list(log.follow(topic, {}, wait_seconds=0, is_whole=True))
    other.abort_transaction(20)
    whole = list(log.follow(topic, {}, wait_seconds=0, is_whole=True))
    assert values(whole) == [b"hidden"]


def test_partitions_added_in_mid_stream_don_t_move_keys_and_are_reported(
    kafka_address: str,
) -> None:
    log = KafkaLog(kafka_address)
    topic = new_topic(log, 2)
    writer = log.writer(new_name())
    writer.write([Record(topic, 3, b"k", b"before")])
    admin = AdminClient({"bootstrap.servers": kafka_address})
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result()
    writer.write([Record(topic, 3, b"k", b"after")])
    assert {message.partition for message in read_all(log, topic)} == {1}
    (difference,) = log.create_topics([TopicSpec(topic, 2)])
    assert (difference.setting, difference.wanted, difference.found) == ("partitions", "2", "4")


def test_an_option_that_librdkafka_refuses_is_named_without_its_value() -> None:
    for options in (
        {"sasl.mechanisms.typo": "hunter2"},
        {"ssl.ca.location": "hunter2", "security.protocol": "ssl"},
        {"security.protocol": "hunter2"},
        {"socket.timeout.ms": "hunter2"},
    ):
        with pytest.raises(LogError, match=next(iter(options))) as raised:
            KafkaLog("127.0.0.1:1", options).writer("w")
        seen: BaseException | None = raised.value
        assert "hunter2" not in str(seen)
        assert seen is not None
        assert seen.__cause__ is None


def test_options_that_delivery_rests_on_are_refused() -> None:
    with pytest.raises(LogError, match=r"isolation\.level"):
        KafkaLog("127.0.0.1:1", {"isolation.level": "read_uncommitted"})


def test_a_password_is_in_no_representation_and_no_error() -> None:
    log = KafkaLog(
        "127.0.0.1:1",
        {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "u",
            "sasl.password": "hunter2",
        },
        timeout_seconds=0.5,
    )
    with pytest.raises(CdcError) as raised:
        log.topics()
    assert "hunter2" not in str(raised.value) + repr(log.__dict__)


def test_the_client_says_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    log = KafkaLog("127.0.0.1:1", {"session.timeout.ms": 7000, "acks": "all"}, timeout_seconds=0.5)
    with pytest.raises(Unreachable):
        log.topics()
    with pytest.raises(Unreachable):
        log.writer(new_name())
    reader = log.reader(["t"], "g")
    reader.poll(1, 0.2)
    reader.close()
    assert capfd.readouterr().err == ""


def test_a_replication_that_the_brokers_can_t_give_says_so(own_broker: Server) -> None:
    log = KafkaLog(own_broker.url)
    with pytest.raises(LogError, match=r"creating topic shop\.too\.many"):
        log.create_topics([TopicSpec("shop.too.many", 1, replication=3)])
