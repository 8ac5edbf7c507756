"""Kafka's topics: what is there, what is missing, where they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition, admin
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cdc.errors import CdcError, LogError, Unreachable
from cdc.log.kafka_client import Faults, Options, Servers, reason
from cdc.log.topics import compare
from cdc.model import Offsets, TopicDifference, TopicSpec

CHECKPOINT_SUFFIX = ".checkpoint"
VISIBLE_POLL_SECONDS = 0.05
LEADER_POLL_SECONDS = 0.05
OFFSETS_SECONDS = 3.0
"""How long one question for offsets may take; the next one goes to who leads then."""
SETTLE_SECONDS = 1.0
SETTLE_POLL_SECONDS = 0.005

_kinds: Any = admin  # its names are there, its stubs don't export them
_LEADERLESS = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError._TIMED_OUT,
}
_FIRST, _END = _kinds.OffsetSpec.earliest(), _kinds.OffsetSpec.latest()


Owns = Callable[[str, str], bool]
"""Whether nobody but the writer of this name writes into this topic."""


def is_shared(writer: str, topic: str) -> bool:
    """Nobody has a topic for itself."""
    return False


class KafkaTopics:
    """Creates, lists and measures topics."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._faults = Faults()

    @cached_property
    def _admin(self) -> AdminClient:
        return self._servers.client(AdminClient, {}, {}, self._faults)

    def close(self) -> None:
        """Let the client go, which has threads; the next call makes a new one."""
        self.__dict__.pop("_admin", None)

    def all(self) -> Mapping[str, Any]:
        """Every topic of the cluster; never creates one."""
        try:
            return self._admin.list_topics(timeout=self._servers.timeout_seconds).topics
        except KafkaException as error:
            raise self._failure("listing topics", error) from error

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has now."""
        found = self.all().get(topic)
        if found is None or not found.partitions:
            raise LogError(
                f"topic {topic} does not exist",
                hint="`cdc run` creates what the connector file names; or create it by hand",
            )
        return len(found.partitions)

    def create(
        self, specs: Sequence[TopicSpec], settings: Options | None = None
    ) -> Sequence[TopicDifference]:
        """Create what is missing, wait until it is seen, report what differs."""
        there = self.all()
        missing = [spec for spec in specs if spec.name not in there]
        raced = self._create(missing, settings or {})
        old = [spec for spec in specs if spec.name in there or spec.name in raced]
        if raced:
            there = self.all()
        return self._differences(old, there)

    def _create(self, specs: Sequence[TopicSpec], settings: Options) -> set[str]:
        """Create the topics; the names of those that another process created meanwhile."""
        if not specs:
            return set()
        raced = set()
        seconds = self._servers.timeout_seconds
        asked = self._admin.create_topics(
            [
                NewTopic(
                    spec.name, spec.partitions, spec.replication, config=_config(spec, settings)
                )
                for spec in specs
            ],
            operation_timeout=seconds,
            request_timeout=seconds,
        )
        for name, answer in asked.items():
            try:
                answer.result()
            except KafkaException as error:
                if reason(error).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._failure(f"creating topic {name}", error) from error
                raced.add(name)
        self._wait_until_seen({spec.name for spec in specs})
        return raced

    def _wait_until_seen(self, names: set[str]) -> None:
        deadline = time.monotonic() + self._servers.timeout_seconds
        while True:
            there = self.all()
            if all(name in there and there[name].partitions for name in names):
                return
            if time.monotonic() > deadline:
                raise Unreachable(f"created topics {sorted(names)}, but the broker lists them not")
            time.sleep(VISIBLE_POLL_SECONDS)

    def _differences(
        self, specs: Sequence[TopicSpec], there: Mapping[str, Any]
    ) -> Sequence[TopicDifference]:
        if not specs:
            return []
        configs = self._configs([spec.name for spec in specs])
        differences = []
        for spec in specs:
            partitions = there[spec.name].partitions
            config = configs[spec.name]
            found = {
                "partitions": str(len(partitions)),
                "replication": str(len(partitions[0].replicas)),
                "retention_ms": str(config["retention.ms"].value),
                "compacted": str("compact" in str(config["cleanup.policy"].value)),
            }
            differences += compare(spec, found)
        return differences

    def record_bytes_max(self, topic: str) -> int:
        """What the broker takes in one batch for this topic."""
        return int(self._configs([topic])[topic]["max.message.bytes"].value)

    def _configs(self, topics: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
        """The settings of each topic."""
        wanted = set(topics)
        configs: dict[str, Mapping[str, Any]] = {}
        deadline = time.monotonic() + self._servers.timeout_seconds
        while wanted:
            asked = self._admin.describe_configs(
                [_kinds.ConfigResource(_kinds.ResourceType.TOPIC, topic) for topic in wanted],
                request_timeout=self._servers.timeout_seconds,
            )
            for resource, answer in asked.items():
                try:
                    configs[resource.name] = answer.result()
                    wanted.remove(resource.name)
                except KafkaException as error:
                    at = TopicPartition(resource.name)
                    if not self._may_come(at, reason(error)) or time.monotonic() > deadline:
                        raise self._failure(
                            f"reading the settings of topic {resource.name}", error
                        ) from error
            if wanted:
                time.sleep(LEADER_POLL_SECONDS)
        return configs

    def _failure(self, doing: str, error: KafkaException) -> CdcError:
        self._faults.hear(self._admin)
        return self._servers.failure(doing, reason(error), self._faults)

    def offsets(
        self, places: Iterable[tuple[str, int]], *, committed_only: bool = True, first: bool = False
    ) -> Offsets:
        """The end (or first) offset of each partition.

        With `committed_only` the end is before the earliest open transaction."""
        spec = _FIRST if first else _END
        level = IsolationLevel.READ_COMMITTED if committed_only else IsolationLevel.READ_UNCOMMITTED
        wanted = {TopicPartition(topic, partition): spec for topic, partition in places}
        found: dict[tuple[str, int], int] = {}
        deadline = time.monotonic() + self._servers.timeout_seconds
        while wanted:
            asked = self._admin.list_offsets(
                wanted,
                isolation_level=level,
                request_timeout=min(OFFSETS_SECONDS, self._servers.timeout_seconds),
            )
            is_late = time.monotonic() > deadline
            for at, answer in asked.items():
                doing = f"asking for the end of {at.topic} [{at.partition}]"
                try:
                    offset = answer.result().offset
                except KafkaException as error:
                    if is_late or not self._may_come(at, reason(error)):
                        raise self._failure(doing, error) from error
                    continue
                # Without its leader's answer a partition comes with no error and no offset.
                if offset >= 0:
                    found[at.topic, at.partition] = offset
                    del wanted[at]
                elif is_late:
                    raise Unreachable(
                        f"{doing}: its leader did not answer within"
                        f" {self._servers.timeout_seconds:g} s",
                        hint=f"are all brokers of Kafka at {self._servers.bootstrap_servers} up?",
                    )
            if wanted:
                self.close()  # a client goes on asking the leader that it knows, though it is gone
                time.sleep(LEADER_POLL_SECONDS)
        return found

    def _may_come(self, at: TopicPartition, error: KafkaError) -> bool:
        """Whether another try may get the answer.

        A topic is listed before all brokers know of it, its leader that it leads among them."""
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return at.topic in self.all()
        return error.code() in _LEADERLESS

    def hanging(self, owns: Callable[[str], bool]) -> Offsets:
        """Where transactions begin that are open in those topics."""
        places = [
            (name, partition)
            for name, topic in self.all().items()
            if owns(name)
            for partition in topic.partitions
        ]
        ends = self.offsets(places, committed_only=False)
        stable = self.offsets(places)
        return {place: stable[place] for place in places if stable[place] < ends[place]}

    def settled_ends(self, topic: str, *, is_whole: bool = False) -> Offsets:
        """The end of each partition, after all that was committed before this call.

        The markers of a transaction come shortly after its commit was answered; what is still
        open after `SETTLE_SECONDS` isn't waited for: Unreachable, if all is wanted."""
        places = [(topic, partition) for partition in range(self.partitions(topic))]
        high = self.offsets(places, committed_only=False)
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            stable = self.offsets(places)
            if all(stable[at] >= high[at] for at in places):
                return stable
            if time.monotonic() > deadline:
                if is_whole:
                    raise Unreachable(
                        f"topic {topic} can't be read to its end: a transaction on it is still open"
                        f" after {SETTLE_SECONDS:g} s",
                        hint="it ends when its writer starts again, or with its timeout;"
                        " kafka-transactions.sh finds it",
                    )
                return stable
            time.sleep(SETTLE_POLL_SECONDS)


def _config(spec: TopicSpec, settings: Options) -> dict[str, str]:
    config = {name: str(value) for name, value in settings.items()}
    if spec.retention_ms is not None:
        config["retention.ms"] = str(spec.retention_ms)
    if spec.compacted:
        ends = spec.retention_ms is not None and spec.retention_ms >= 0
        config["cleanup.policy"] = "compact,delete" if ends else "compact"
    return config


def is_internal(topic: str) -> bool:
    """Kafka's own topics and the writers' checkpoints.

    A change topic has two dots or more, so a table called `checkpoint` is not meant."""
    return topic.startswith("__") or (topic.endswith(CHECKPOINT_SUFFIX) and topic.count(".") == 1)
