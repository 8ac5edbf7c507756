"""Topics that some of the brokers don't know yet, or that are not there."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from cdc.errors import LogError
from cdc.log.kafka_client import Servers
from cdc.log.kafka_topics import KafkaTopics


class Brokers:
    """List a topic, and know it after so many questions."""

    def __init__(self, code: int, unknown: int) -> None:
        self._code, self._unknown = code, unknown

    def list_offsets(self, wanted: dict[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        answer: Future[Any] = Future()
        if self._unknown:
            self._unknown -= 1
            answer.set_exception(KafkaException(KafkaError(self._code)))
        else:
            answer.set_result(SimpleNamespace(offset=7))
        return dict.fromkeys(wanted, answer)

    def list_topics(self, **_: Any) -> Any:
        return SimpleNamespace(topics={"there": None})

    def poll(self, _: float) -> None:
        """Nothing to say."""


def topics(brokers: Brokers) -> KafkaTopics:
    made = KafkaTopics(Servers("127.0.0.1:1"))
    made.__dict__["_admin"] = brokers
    return made


@pytest.mark.parametrize(
    "code", [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART]
)
def test_a_new_topic_is_waited_for_until_its_leader_knows_it(code: int) -> None:
    assert topics(Brokers(code, 2)).offsets([("there", 0)]) == {("there", 0): 7}


def test_a_topic_that_no_broker_lists_is_missing() -> None:
    brokers = Brokers(KafkaError.UNKNOWN_TOPIC_OR_PART, 2)
    with pytest.raises(LogError, match=r"asking for the end of gone \[0\]"):
        topics(brokers).offsets([("gone", 0)])
