"""Whatever tables and rows: capture tells what the server, mysqlbinlog and mysql-replication do.

Hypothesis makes tables of all types and what happens to them. `CDC_WITNESS_EXAMPLES` says how many
for each server, the default keeps the whole under a minute; `CDC_WITNESS_SHRINK=true` makes a
failing one small, which takes its time.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cdc.model import Record
from cdc.services import MariaDBServer, MySQLServer
from tests.integration.test_values import TEXT, of_text
from tests.properties.kinds import Kind, printed
from tests.properties.stories import Column, Story, Table, stories
from tests.properties.witnesses import (
    mysqlbinlog_differs,
    mysqlbinlog_of,
    reference_differs,
    select_differs,
    shown_by_mysqlbinlog,
    stretch_of,
)
from tests.services_plugin import FreshDatabase, fresh_database

EXAMPLES = int(os.environ.get("CDC_WITNESS_EXAMPLES", "16"))
SHRINKS = os.environ.get("CDC_WITNESS_SHRINK") == "true"


@pytest.fixture(scope="module", params=["mysql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Iterator[FreshDatabase]:
    server: MySQLServer | MariaDBServer = request.getfixturevalue(f"{request.param}_server")
    with fresh_database(server) as made:
        yield made


@pytest.fixture(scope="module")
def tool(database: FreshDatabase) -> Sequence[str]:
    return mysqlbinlog_of(database.server.kind)


@settings(
    max_examples=EXAMPLES,
    # Each example is a conversation with a server: shrink only where there is time.
    phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if SHRINKS else [])],
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(data=st.data())
def test_three_witnesses_agree_with_capture(
    database: FreshDatabase, tool: Sequence[str], data: st.DataObject
) -> None:
    kind = database.server.kind
    story = data.draw(stories(kind, f"t{secrets.token_hex(4)}"))
    stretch = stretch_of(database, story)
    assert select_differs(story, stretch) == []
    assert mysqlbinlog_differs(story, stretch, shown_by_mysqlbinlog(stretch, tool)) == []
    assert reference_differs(stretch) == []


def story_of_one_word(name: str) -> Story:
    kind = Kind("varchar(20)", st.nothing(), TEXT, of_text, lambda text: printed(text.encode()))
    table = Table(name, [Column("word", kind, True)], "id", 0)
    return Story([table], [table.insert(1, ["'right'"]), table.insert(2, ["'other'"])])


def test_each_witness_sees_a_fault_of_capture(database: FreshDatabase, tool: Sequence[str]) -> None:
    """A capture that reads one letter wrongly is contradicted by all three."""
    story = story_of_one_word(f"t{secrets.token_hex(4)}")
    right = stretch_of(database, story)
    shown = shown_by_mysqlbinlog(right, tool)
    assert not select_differs(story, right)
    assert not mysqlbinlog_differs(story, right, shown)
    assert not reference_differs(right)
    wrong = replace(
        right,
        records=[faulty(record) for record in right.records],
        events=[{**one, "after": {**one["after"], "word": "ri9ht"}} for one in right.events],
    )
    assert len(select_differs(story, wrong)) == 2
    assert len(mysqlbinlog_differs(story, wrong, shown)) == 2
    (difference,) = reference_differs(wrong)
    assert (difference.what, difference.ours) == ("after.word", "'ri9ht'")


def test_each_witness_sees_a_lost_change(database: FreshDatabase, tool: Sequence[str]) -> None:
    story = story_of_one_word(f"t{secrets.token_hex(4)}")
    right = stretch_of(database, story)
    lost = replace(right, records=right.records[1:], events=right.events[1:])
    assert select_differs(story, lost)
    assert mysqlbinlog_differs(story, lost, shown_by_mysqlbinlog(lost, tool))
    assert [one.what for one in reference_differs(lost)] == ["presence"]


def faulty(record: Record) -> Record:
    assert record.value is not None
    return record._replace(value=record.value.replace(b"right", b"ri9ht"))
