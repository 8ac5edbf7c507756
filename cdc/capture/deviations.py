"""Where change events differ from Debezium's on purpose: all of it, each with the reason.

Tests compare recordings of a real Debezium with ours but for these, and hold that the docs
(docs/change-events.md) name each one, and that no option has another default without being here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deviation:
    """One difference."""

    name: str
    theirs: str
    ours: str
    why: str


DEVIATIONS = (
    Deviation(
        "truncates",
        "left out: `skipped.operations` is `t`",
        "published: `skipped.operations` is `none`",
        "a view would keep rows that are gone",
    ),
    Deviation(
        "names",
        "as they are: `schema.name.adjustment.mode` and `field.name.adjustment.mode` are `none`",
        "both are `avro`",
        "Avro refuses other names, and a column `2nd` would stop the connector",
    ),
    Deviation(
        "DDL beside hidden columns",
        "published with the defaults of columns that are left out or masked",
        "`include.schema.changes` is off where columns are hidden, and refused if it is asked for",
        "what is hidden reaches no topic",
    ),
    Deviation(
        "text that can't be read",
        "bytes that the character set doesn't know become U+FFFD, unseen",
        "`invalid_text: fail`; `replace` does the same, and counts",
        "what was there can't be told afterwards",
    ),
    Deviation(
        "tables that nothing is known of",
        "the connector stops: the DDL since the beginning has to be in its history",
        "a schema without defaults, counted until more is known",
        "a binlog tells how its rows are read",
    ),
    Deviation("YEAR 0000", "1900", "0", "it is what the server holds"),
    Deviation(
        "BEGIN of DDL",
        "on MariaDB each DDL statement has a BEGIN record, and never an END",
        "DDL has neither; any other transaction has both, which count 0 where nothing of it is"
        " captured",
        "a consumer would wait for the END",
    ),
    Deviation(
        "time of the first BEGIN",
        "on MariaDB it has the time of the event before it",
        "its own time",
        "the other is the transaction's neither by begin nor by commit",
    ),
    Deviation(
        "years below 100",
        "taken for a year of two digits (`enable.time.adjuster`)",
        "as they are stored",
        "the server holds years of four digits",
    ),
    Deviation(
        "BOOL and other spellings",
        "a type is what the last DDL text called it: BOOL is a boolean, INTEGER UNSIGNED was cut"
        " to 32 bits",
        "a type is what the server made of it",
        "a restart or a new table history would give another schema",
    ),
    Deviation(
        "defaults that the server changes",
        "as the text of DDL has them: quotes and backslashes doubled, BINARY unpadded, a BIGINT"
        " through a double, a TIMESTAMP in the time zone of Debezium's host",
        "what the server fills in",
        "a restart may know them of the catalogue alone, and null is published as them",
    ),
    Deviation(
        "keys without defaults",
        "a key's schema repeats the column's default and comment",
        "names and types alone, null first",
        "compaction and partition go by the key's bytes, which hold the schema's id",
    ),
    Deviation(
        "hidden columns in keys",
        "an excluded or masked column is in the key as it is",
        "a hash is hashed in the key too; excluding a key's column or masking it by asterisks is"
        " refused",
        "what is hidden reaches no topic",
    ),
    Deviation(
        "masks on what isn't text",
        "published unmasked",
        "refused, with the column's name",
        "what is to be hidden must not show because of its type",
    ),
    Deviation(
        "defaults of masked columns",
        "stay in the schema, and stand for null",
        "left out",
        "a real value would show",
    ),
    Deviation(
        "several options for a column",
        "only the first that matches holds: with `column.propagate.source.type` no hash",
        "all hold; asterisks before a hash before a cut",
        "an option for types must not uncover what another hides",
    ),
    Deviation(
        "cut inside a pair",
        "half a surrogate pair becomes ?",
        "the half is left out",
        "it is no text",
    ),
    Deviation(
        "nanoseconds beyond 2262",
        "wrap around",
        "null, or the epoch where null can't be, and counted",
        "a wrong date looks like a right one",
    ),
    Deviation(
        "TIME that is no time of day",
        "modes connect and isostring: null, an error where the column is NOT NULL",
        "null, midnight where null can't be, and counted",
        "`on_substitution: fail` is the error",
    ),
    Deviation(
        "empty JSON in a NOT NULL column",
        "`{}`",
        "`null`",
        "it is what the server reads there",
    ),
    Deviation(
        "skipped updates",
        "an update of the key alone is skipped with `skip.messages.without.change`",
        "it is published",
        "the old key would stay for ever",
    ),
    Deviation(
        "headers",
        "`__debezium.context.*` on every record by default",
        "`cdc_revision` and `cdc_id` on every change; the others with `extended.headers.enabled`",
        "they are the same on every record, and cost as much as a small row",
    ),
)


def deviation(name: str) -> Deviation:
    """The deviation of this name."""
    return next(one for one in DEVIATIONS if one.name == name)
