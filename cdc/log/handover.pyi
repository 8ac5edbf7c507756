"""Types of handover.pyx, which is there in the compiled form only."""

from collections.abc import Mapping

from confluent_kafka import Producer

from cdc.records import RecordBlock

QUEUE_FULL: int

def is_possible() -> bool: ...

class Handover:
    def __init__(self, producer: Producer) -> None: ...
    def produce(
        self, block: RecordBlock, partitions: Mapping[str, int], begin: int
    ) -> tuple[int, int]: ...
    def close(self) -> None: ...
