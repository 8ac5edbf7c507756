"""Debezium's options that change events don't take, each group with its reason."""

from __future__ import annotations

_HERE = "that is set elsewhere in the connector file"
_REASONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("topic.prefix", "database.server.name", "name"),
        "the connector's name is the prefix: connector",
    ),
    (
        ("topic.naming.strategy", "topic.cache.size"),
        "topics are named as Debezium's DefaultTopicNamingStrategy does; topic.delimiter and"
        " topic.transaction change parts of it",
    ),
    (
        (
            "database.include.list", "database.exclude.list", "table.include.list",
            "table.exclude.list", "table.ignore.builtin",
        ),
        "tables are chosen by source.tables, with * and ?",
    ),
    (
        ("database.history.", "schema.history.", "binlog.metadata.based.schema",
         "resolve.create.table.like.schema", "tables.storage.", "schemas.storage."),
        "there is no schema history: each TABLE_MAP of the binlog says how its rows are read",
    ),
    (
        ("database.", "connect.", "driver.", "use.nongraceful.disconnect", "binlog.net.",
         "binlog.buffer.size", "gtid.source.", "gtid.new.channel.position"),
        f"{_HERE}: the connection under source",
    ),
    (
        ("snapshot.", "incremental.snapshot.", "read.only", "min.row.count.to.stream.results"),
        "it is of snapshots, which are no part of change events; source.start says where to begin",
    ),
    (
        ("signal.", "notification."),
        "there is no signal or notification channel; commands and the status page stand for them",
    ),
    (
        ("event.deserialization.failure.handling.mode", "event.processing.failure.handling.mode",
         "inconsistent.schema.handling.mode", "event.converting.failure.handling.mode",
         "schema.history.internal.skip.unparseable.ddl"),
        "warn and skip lose changes unseen; on_substitution, invalid_text and source.accept say"
        " what is done instead",
    ),
    (
        ("heartbeat.action.query",),
        "cdc never writes to the source; heartbeat.interval.ms alone publishes heartbeats",
    ),
    (
        ("max.batch.size", "max.queue.size", "poll.interval.ms", "query.fetch.size",
         "streaming.delay.ms", "executor.shutdown.timeout.ms"),
        f"{_HERE}: batches are bounded under limits",
    ),
    (
        ("errors.max.retries", "retriable.restart.connector.wait.ms"),
        f"{_HERE}: retry_wait_seconds_max and outage_seconds_max under limits",
    ),
    (
        ("converters", "converter.", "custom.", "post.processors", "sourceinfo.struct.maker",
         "transaction.metadata.factory"),
        "a value is published as the server has it; no code of others runs in the hot path. Rules"
        " under streams convert it",
    ),
    (
        ("enable.time.adjuster",),
        "years are published as they are stored; none is taken for a year of two digits",
    ),
    (
        ("transforms", "predicates"),
        "a record is published as it is captured; rules under streams change, filter and route it",
    ),
    (
        ("connector.class", "tasks.max", "key.converter", "value.converter", "header.converter",
         "errors.", "offset.", "topic.creation.", "exactly.once.support", "transaction.boundary",
         "config.action.reload", "producer.", "bootstrap.servers"),
        f"it is Kafka Connect's; {_HERE}: log, registry, topics and delivery",
    ),
    (
        ("internal.", "openlineage.", "guardrail.", "advanced.metrics."),
        "it steers Debezium's own workings, which cdc has not",
    ),
)  # fmt: skip


def why_left_out(option: str) -> str:
    """Why an option of Debezium or Kafka Connect isn't taken; empty for one that is none."""
    for names, reason in _REASONS:
        for name in names:  # one that ends with a dot is a group, and so is one that dots follow
            if option == name or option.startswith(name if name.endswith(".") else f"{name}."):
                return reason
    return ""
