"""Restarts that lay inside a transaction: what was before and behind them, by the topics' ends."""

from __future__ import annotations

from collections import defaultdict

from tests.faults.decoding import Change, Decoder
from tests.faults.evidence import Evidence, Place


def splits(evidence: Evidence) -> int:
    """How many of the restarts lay between two changes of one transaction."""
    decoder = Decoder(evidence)
    by_transaction: dict[str, list[tuple[Place, int]]] = defaultdict(list)
    for message in evidence.messages:
        record = decoder(message)
        if isinstance(record, Change) and record.transaction is not None:
            place = (message.topic, message.partition)
            by_transaction[record.transaction["id"]].append((place, message.offset))
    found = 0
    for ends in evidence.restarts:
        for places in by_transaction.values():
            sides = {offset < ends.get(place, 0) for place, offset in places}
            if len(sides) == 2:
                found += 1
                break
    return found
