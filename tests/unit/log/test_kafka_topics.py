"""Topics that some of the brokers don't know yet, or that are not there."""

from __future__ import annotations

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException

from cdc.errors import LogError, Unreachable
from cdc.log.kafka_client import Servers
from cdc.log.kafka_topics import KafkaTopics

SILENT = 0
"""The client's answer for a partition whose leader is gone: no error, and no offset."""


class Brokers:
    """List a topic, and know it after so many questions."""

    def __init__(self, code: int, unknown: int) -> None:
        self._code, self._unknown = code, unknown

    def list_offsets(self, wanted: dict[Any, Any], **_: Any) -> dict[Any, Future[Any]]:
        answer: Future[Any] = Future()
        if self._unknown:
            self._unknown -= 1
            if self._code:
                answer.set_exception(KafkaException(KafkaError(self._code)))
            else:
                answer.set_result(SimpleNamespace(offset=OFFSET_INVALID))
        else:
            answer.set_result(SimpleNamespace(offset=7))
        return dict.fromkeys(wanted, answer)

    def list_topics(self, **_: Any) -> Any:
        return SimpleNamespace(topics={"there": None})

    def poll(self, _: float) -> None:
        """Nothing to say."""


def topics(brokers: Brokers, timeout_seconds: float = 30.0) -> KafkaTopics:
    class Known(KafkaTopics):
        _admin = brokers  # type: ignore[assignment]

    return Known(Servers("127.0.0.1:1", timeout_seconds=timeout_seconds))


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._TIMED_OUT,
        SILENT,
    ],
)
def test_a_new_topic_is_waited_for_until_its_leader_knows_it(code: int) -> None:
    assert topics(Brokers(code, 2)).offsets([("there", 0)]) == {("there", 0): 7}


def test_a_topic_that_no_broker_lists_is_missing() -> None:
    brokers = Brokers(KafkaError.UNKNOWN_TOPIC_OR_PART, 2)
    with pytest.raises(LogError, match=r"asking for the end of gone \[0\]"):
        topics(brokers).offsets([("gone", 0)])


def test_a_leader_that_stays_silent_is_no_offset() -> None:
    with pytest.raises(Unreachable, match=r"the end of there \[0\]: its leader did not answer"):
        topics(Brokers(SILENT, 1000), 0.1).offsets([("there", 0)])
