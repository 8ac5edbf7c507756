"""What a producer says of topics that changed below it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc.errors import LogError, Unreachable
from cdc.log.kafka_client import Servers
from cdc.log.kafka_producer import KafkaProducer


class Topics:
    """A broker's topics, as a test wants them."""

    def __init__(self, **partitions: int) -> None:
        self.there = partitions

    def partitions(self, topic: str) -> int:
        return self.there[topic]

    def all(self) -> dict[str, Any]:
        if not self.there:
            raise Unreachable("nobody answers")
        return {
            name: SimpleNamespace(partitions=range(count)) for name, count in self.there.items()
        }


@pytest.mark.parametrize(
    ("later", "told"),
    [
        ({"kept": 1}, ": topic lost had 3 partitions and has none"),
        ({"kept": 1, "lost": 1}, ": topic lost had 3 partitions and has 1"),
        ({}, ""),
    ],
)
def test_a_topic_that_is_gone_or_another_one_is_named(later: dict[str, int], told: str) -> None:
    topics: Any = Topics(kept=1, lost=3)
    producer = KafkaProducer(Servers("127.0.0.1:1"), topics, "w", {})
    for topic in ("kept", "lost"):
        assert producer._partitions[topic] == topics.there[topic]
    topics.there = later
    failure = producer.failure("writing", KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), [])
    producer.close()
    assert isinstance(failure, LogError)
    assert failure.message.startswith(f"writing{told}: ")


def test_a_fatal_error_that_closing_says_again_hides_no_other() -> None:
    class Broken:
        """A client as it is after its transaction timed out at the broker."""

        def purge(self) -> None:
            """Nothing waits."""

        def close(self) -> None:
            raise KafkaException(KafkaError(KafkaError.INVALID_TXN_STATE, fatal=True))

    topics: Any = Topics(kept=1)
    producer = KafkaProducer(Servers("127.0.0.1:1"), topics, "w", {})
    producer.client.close()
    producer.client = Broken()
    producer.close()
