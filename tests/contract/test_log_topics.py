"""What every log promises of its topics, of following them, and when it can't be reached."""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

import pytest

from cdc.errors import LogError, Unreachable
from cdc.log.embedded import EmbeddedLog
from cdc.log.kafka import KafkaLog
from cdc.model import TopicSpec
from cdc.ports import Log
from tests.contract.logs import Place, new_name, new_topic, read_all, records


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
