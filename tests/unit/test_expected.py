"""What the catalogue promises is what the binlog brings."""

import json
from pathlib import Path

import pytest

from cdc.capture.expected import expected_plans
from cdc.capture.settings import ChangeEventSettings

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize(
    ("name", "flavor"), [("gstream2", "mysql"), ("mariadb/gmaria5", "mariadb")]
)
def test_schemas_expected_from_the_catalogue_are_those_that_debezium_registered(name, flavor):
    tables = json.loads((GOLDEN / f"{name}.tables.json").read_text())
    registered = json.loads((GOLDEN / f"{name}.schemas.json").read_text()).values()

    plans = expected_plans(
        tables, ChangeEventSettings(), connector=name.split("/")[-1], flavor=flavor
    )

    assert {"golden.numbers", "golden.texts", "golden.times", "golden.others"} <= set(plans)
    for table, plan in plans.items():
        assert plan.value_schema in registered, table
        assert plan.key_schema is None or plan.key_schema in registered, table
