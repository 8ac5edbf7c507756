"""What all Kafka clients share: the options, the client's own log, and errors in our words."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from confluent_kafka import KafkaError, KafkaException, libversion

from cdc.errors import CdcError, Fenced, LogError, Unreachable
from cdc.ports import Seam, untouched

Options = Mapping[str, str | int | float | bool]
"""librdkafka's properties, as its CONFIGURATION.md names them."""

OWN_OPTIONS = frozenset(
    {
        "auto.offset.reset",
        "bootstrap.servers",
        "delivery.report.only.error",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.instance.id",
        "isolation.level",
        "metadata.broker.list",
        "partition.assignment.strategy",
        "transactional.id",
    }
)
"""What delivery rests on; a connector's options can't change it."""

_log = logging.getLogger("cdc.log.kafka")
T = TypeVar("T")

_FENCED = {
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.FENCED_INSTANCE_ID,
}
_SILENT = {
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT_QUEUE,
}
_CHECK_LOGIN = "check security.protocol, sasl.* and ssl.* in log.options"
_TOO_LARGE = (
    "raise max.message.bytes of the topic and message.max.bytes in log.options,"
    " or leave the large column out"
)
_TOPIC_GONE = "what the topic held is gone; cdc run makes it anew as topics: says"
_REFUSALS: Mapping[int, str] = {
    KafkaError._AUTHENTICATION: _CHECK_LOGIN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _CHECK_LOGIN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _CHECK_LOGIN,
    KafkaError._SSL: "check ssl.ca.location and ssl.certificate.location in log.options",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant this user WRITE, READ, DESCRIBE on the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "grant this user READ on the consumer group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: (
        "grant this user CREATE on the cluster, or create the topics by hand"
    ),
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: (
        "grant this user WRITE and DESCRIBE on the transactional id, the writer's name"
    ),
    KafkaError.MSG_SIZE_TOO_LARGE: _TOO_LARGE,
    KafkaError.RECORD_LIST_TOO_LARGE: _TOO_LARGE,
    KafkaError.INVALID_TIMESTAMP: "the clock of this host is far from the broker's; set it right",
    KafkaError.INVALID_RECORD: "the broker's topic settings don't allow this record; check them",
    KafkaError.TOPIC_EXCEPTION: "the topic's name is not a legal one; change it",
    KafkaError.UNKNOWN_TOPIC_OR_PART: _TOPIC_GONE,
    KafkaError._UNKNOWN_TOPIC: _TOPIC_GONE,
    KafkaError._UNKNOWN_PARTITION: (
        "the topic was made anew by somebody; delete it, and cdc run makes it as topics: says"
    ),
    KafkaError.POLICY_VIOLATION: "the broker's policy refuses these settings; see topics:",
    KafkaError.INVALID_CONFIG: "the broker refuses these settings; see topics:",
    KafkaError.INVALID_PARTITIONS: "the broker refuses this number of partitions; see topics:",
    KafkaError.INVALID_REPLICATION_FACTOR: "fewer brokers are up than replicas wanted; see topics:",
    KafkaError.UNSUPPORTED_VERSION: "Kafka 2.5 or later is needed",
    KafkaError._INVALID_ARG: "check log.options",
}


class Faults:
    """What a client's background threads complained of, for the error of a call that failed."""

    def __init__(self) -> None:
        self.last: KafkaError | None = None
        self.fatal: KafkaError | None = None
        """What made the client unusable: a call may say only that something did."""

    def __call__(self, error: KafkaError) -> None:
        self.last = error

    def hear(self, client: Any) -> None:
        """Take in what the client's threads have to say by now."""
        try:
            client.poll(0)
        except KafkaException as error:  # the one way it tells of a fatal error
            self.fatal = reason(error)


class _ClientLog:
    """librdkafka's log lines: several a second for a broker that is away.

    What matters among them is also raised, so they are for looking into things only."""

    def log(self, level: int, message: str, *args: object) -> None:
        _log.debug(message, *args)


@dataclass(frozen=True, slots=True)
class Servers:
    """Where Kafka is, how to talk to it, and how long to wait for an answer."""

    bootstrap_servers: str
    options: Options = field(default_factory=dict, repr=False)
    timeout_seconds: float = 30.0
    seam: Seam = untouched

    def __post_init__(self) -> None:
        own = sorted(OWN_OPTIONS.intersection(self.options))
        if own:
            raise LogError(
                f"log.options sets {', '.join(own)}, which cdc sets itself",
                hint="take it out of log.options",
            )

    def client(
        self, kind: Callable[..., T], defaults: Options, fixed: Options, faults: Faults
    ) -> T:
        """A producer, consumer or admin client; a fault in the options names the option alone."""
        return cast(T, self.seam(self.bare_client(kind, defaults, fixed, faults)))

    def bare_client(
        self, kind: Callable[..., T], defaults: Options, fixed: Options, faults: Faults
    ) -> T:
        """The same, not passed through the seam."""
        config: dict[str, Any] = {
            **defaults,
            **self.options,
            **fixed,
            "bootstrap.servers": self.bootstrap_servers,
            "error_cb": faults,
        }
        try:
            return kind(config, logger=_ClientLog())
        except (KafkaException, TypeError, ValueError) as error:
            # librdkafka repeats the value, which may be a secret (invariant 9).
            raise LogError(
                f"log.options: librdkafka {libversion()[0]} refuses {_options_in(str(error))}",
                hint="see librdkafka's CONFIGURATION.md for its name and values",
            ) from None

    def failure(self, doing: str, error: KafkaError, faults: Faults | None = None) -> CdcError:
        """The error to raise for what Kafka answered while `doing`."""
        if error.code() == KafkaError._FATAL and faults and faults.fatal:
            error = faults.fatal
        code = error.code()
        if code in _FENCED:
            return Fenced(
                f"{doing}: a newer one of the same name took over ({error.name()})",
                hint="leave the newer one running; two at once need two connector names",
            )
        last = faults.last if faults else None
        if code in _SILENT and last is not None and last.code() in _REFUSALS:
            error, code = last, last.code()
        words = f"{doing}: {error.str()} ({error.name()})"
        # A broker that has just started is fenced for some seconds: it will be there.
        is_starting = code == KafkaError.INVALID_REPLICATION_FACTOR and "fenced" in error.str()
        if code in _REFUSALS and not is_starting:
            return LogError(words, hint=_REFUSALS[code])
        if code in _SILENT and last is not None:
            words += f"; last: {last.str()}"
        return Unreachable(words, hint=f"is Kafka at {self.bootstrap_servers} up and reachable?")


def _options_in(complaint: str) -> str:
    """The options that librdkafka complains of, without their values."""
    _, found, tail = complaint.rpartition("configuration property")
    if not found:
        _, found, tail = complaint.partition("Failed to create ")
    options = re.findall(r"\b[a-z]+(?:\.[a-z]+)+\b", tail)
    return " and ".join(options) or "an option"


def reason(error: KafkaException) -> KafkaError:
    """The KafkaError inside the exception."""
    found = error.args[0]
    assert isinstance(found, KafkaError)
    return found
