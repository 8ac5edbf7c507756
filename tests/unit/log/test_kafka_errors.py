"""What Kafka's answers become: stop, try again, or tell what to do."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from cdc.errors import Fenced, LogError, Unreachable
from cdc.log.kafka_client import Faults, Servers
from cdc.log.kafka_topics import is_internal

servers = Servers("broker:9092")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (KafkaError._FENCED, Fenced),
        (KafkaError.PRODUCER_FENCED, Fenced),
        (KafkaError.INVALID_PRODUCER_EPOCH, Fenced),
        (KafkaError._TIMED_OUT, Unreachable),
        (KafkaError._TRANSPORT, Unreachable),
        (KafkaError.NOT_ENOUGH_REPLICAS, Unreachable),
        (KafkaError.NOT_COORDINATOR, Unreachable),
        (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, Unreachable),
        (KafkaError._RESOLVE, Unreachable),
    ],
)
def test_what_may_heal_is_tried_again_and_a_fenced_writer_stops(
    code: int, kind: type[LogError]
) -> None:
    failure = servers.failure("writing", KafkaError(code))
    assert type(failure) is kind
    assert failure.hint


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "WRITE"),
        (KafkaError.GROUP_AUTHORIZATION_FAILED, "group"),
        (KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "transactional id"),
        (KafkaError.SASL_AUTHENTICATION_FAILED, "sasl"),
        (KafkaError.MSG_SIZE_TOO_LARGE, "max.message.bytes"),
        (KafkaError.INVALID_TIMESTAMP, "clock"),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, "anew"),
    ],
)
def test_what_can_t_heal_says_what_to_do(code: int, word: str) -> None:
    failure = servers.failure("writing", KafkaError(code))
    assert type(failure) is LogError
    assert word in failure.hint


def test_a_timeout_after_a_failed_login_is_the_login_s_error() -> None:
    faults = Faults()
    faults(KafkaError(KafkaError._AUTHENTICATION, "SASL authentication error"))
    failure = servers.failure("listing", KafkaError(KafkaError._TIMED_OUT), faults)
    assert type(failure) is LogError
    assert "SASL authentication error" in str(failure)


def test_internal_topics_are_kafka_s_own_and_checkpoints_but_no_table_called_so() -> None:
    assert is_internal("__consumer_offsets")
    assert is_internal("shop.checkpoint")
    assert not is_internal("shop.db.checkpoint")
    assert not is_internal("orders.v1")


def test_brokers_that_are_only_fenced_as_yet_are_waited_for() -> None:
    code = KafkaError.INVALID_REPLICATION_FACTOR
    fenced = "Unable to replicate the partition 1 time(s): All brokers are currently fenced"
    assert isinstance(servers.failure("creating", KafkaError(code, fenced)), Unreachable)
    few = "Unable to replicate the partition 3 time(s): only 1 broker(s) are registered"
    assert isinstance(servers.failure("creating", KafkaError(code, few)), LogError)
