"""The logs that the contract tests are about, and what the tests do with them again and again."""

from __future__ import annotations

import secrets
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from cdc.log.embedded import EmbeddedLog
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


def polled_by(reader: LogReader, kept: list[Message]) -> list[Message]:
    kept += reader.poll(100, 0.1)
    return kept
