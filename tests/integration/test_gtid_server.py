"""GTID sets agree with the server's own functions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings

from cdc.capture.gtid import MysqlGtidSet
from cdc.services import MySQLServer
from tests.unit.test_gtid import Adds, adds, as_set

if TYPE_CHECKING:
    from pymysql.connections import Connection

EXAMPLES_MAX = 150


@pytest.fixture(scope="module")
def connection(mysql_server: MySQLServer) -> Iterator[Connection[Any]]:
    with mysql_server.connect() as connection:
        yield connection


@given(one=adds, two=adds)
@settings(
    max_examples=EXAMPLES_MAX,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_contains_and_subtract_are_the_servers(
    connection: Connection[Any], one: Adds, two: Adds
) -> None:
    left, right = as_set(one), as_set(two)
    with connection.cursor() as cursor:
        cursor.execute(
            "select gtid_subset(%s, %s), gtid_subtract(%s, %s), gtid_subtract(%s, '')",
            (str(right), str(left), str(left), str(right), str(left)),
        )
        ((is_subset, rest, same),) = cursor.fetchall()
    assert left.contains(right) == bool(is_subset)
    assert str(left.subtract(right)) == rest.replace("\n", "")
    assert str(left) == same.replace("\n", "")
    assert MysqlGtidSet.parse(same) == left
