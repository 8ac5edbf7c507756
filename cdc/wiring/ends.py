"""The log and the registry of a configuration, opened."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import structlog

from cdc.codec.registry_embedded import EmbeddedRegistry
from cdc.config import ConnectorConfig
from cdc.config import log as log_sections
from cdc.errors import CdcError, LogError, RegistryError
from cdc.log.embedded import EmbeddedLog
from cdc.log.kafka import KafkaLog
from cdc.model import TopicDifference, TopicSpec
from cdc.ports import Log, Registry, Seam, untouched

ANSWER_SECONDS_MAX = 5.0
"""How long a broker may take to answer at all, before it counts as away."""


FIRST_SCHEMA_ID = 1


logger = structlog.get_logger()


def open_log(config: ConnectorConfig, seam: Seam = untouched) -> Log:
    """The log of the configuration."""
    section = config.log
    if isinstance(section, log_sections.KafkaLog):
        return KafkaLog(
            section.bootstrap_servers, section.options, owns=partial(_is_own, config), seam=seam
        )
    return EmbeddedLog(section.path, seam=seam)


def _is_own(config: ConnectorConfig, writer: str, topic: str) -> bool:
    """Whether nobody but this writer of the connector writes into the topic."""
    if any(topic == stream.topic for stream in config.streams):
        return writer == f"{config.connector}.translate"
    delimiters = {".", config.change_events.get("topic.delimiter", ".")}
    begins = tuple(config.connector + one for one in delimiters)
    return writer == config.connector and (topic == writer or topic.startswith(begins))


def reached_log(config: ConnectorConfig, seam: Seam = untouched) -> Log:
    """The log, which has answered; where it doesn't, Unreachable sooner than other calls are."""
    section = config.log
    if isinstance(section, log_sections.KafkaLog):
        probe = KafkaLog(
            section.bootstrap_servers,
            section.options,
            timeout_seconds=ANSWER_SECONDS_MAX,
            seam=seam,
        )
        probe.topics()
    return open_log(config, seam)


def open_registry(config: ConnectorConfig, seam: Seam = untouched) -> Registry:
    """The schema registry of the configuration."""
    section = config.registry
    if isinstance(section, log_sections.EmbeddedRegistry):
        return EmbeddedRegistry(config.registry_path, seam=seam)
    from cdc.codec.registry_confluent import ConfluentRegistry  # its HTTP client takes memory

    auth = section.auth
    return ConfluentRegistry(
        section.url,
        user=auth.user if auth else None,
        password=auth.password.get_secret_value() if auth and auth.password else "",
        bearer_token=auth.token.get_secret_value() if auth and auth.token else None,
        ca_file=section.tls.ca,
        certificate_file=section.tls.cert,
        key_file=section.tls.key,
        seam=seam,
    )


def reached_registry(config: ConnectorConfig, seam: Seam = untouched) -> Registry:
    """The registry, which has answered; Unreachable where it doesn't."""
    registry = open_registry(config, seam)
    try:
        registry.schema(FIRST_SCHEMA_ID)
    except RegistryError:
        pass  # an answer, and no schema is needed yet
    except CdcError:
        registry.close()
        raise
    return registry


def create_topics(log: Log, *specs: TopicSpec) -> None:
    """Create what is missing; an existing topic that differs is reported, not changed."""
    _report(log.create_topics(specs))


def create_own_topics(log: Log, *specs: TopicSpec) -> None:
    """The same for topics that this stage writes; LogError where their partitions are others."""
    differences = log.create_topics(specs)
    for found in differences:
        if found.setting == "partitions":
            # Invariant 3: a key's records would lie in two partitions.
            raise LogError(
                f"topic {found.topic} has {found.found} partitions, topics: says {found.wanted}",
                hint="where some were added, keys move: the order of a key's records holds before"
                " it and behind it alone. To go on so, set under topics.overrides"
                f" {{topics: {found.topic}, partitions: {found.found}}}; else create the topic"
                " anew as it was",
            )
    _report(differences)


def _report(differences: Iterable[TopicDifference]) -> None:
    for difference in differences:
        logger.warning(
            "topic differs from its configuration",
            topic=difference.topic,
            setting=difference.setting,
            wanted=difference.wanted,
            found=difference.found,
        )
