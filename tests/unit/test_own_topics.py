"""A stage writes only to topics with the partitions that it was told; others are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.errors import LogError
from cdc.log.embedded import EmbeddedLog
from cdc.model import TopicSpec
from cdc.wiring.ends import create_own_topics, create_topics


def test_other_partitions_stop_who_writes_and_not_who_reads(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log.db")
    create_own_topics(log, TopicSpec("shop.shop.orders", 3))
    create_own_topics(log, TopicSpec("shop.shop.orders", 3, retention_ms=1000))
    create_topics(log, TopicSpec("shop.shop.orders", 4))
    with pytest.raises(LogError, match=r"shop.shop.orders has 3 partitions, topics: says 4") as no:
        create_own_topics(log, TopicSpec("shop.shop.orders", 4))
    assert "{topics: shop.shop.orders, partitions: 3}" in no.value.hint
