"""The logs under test, as fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.ports import Log
from tests.contract.logs import Place


@pytest.fixture(params=["embedded", "kafka"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    kind = request.param
    address = (
        str(tmp_path / "log.db") if kind == "embedded" else request.getfixturevalue("kafka_address")
    )
    found = Place(kind, address)
    yield found
    found.close()


@pytest.fixture
def log(place: Place) -> Log:
    return place.open()
