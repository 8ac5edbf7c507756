"""Kafka's operator, who does what cdc's hints say, by Kafka's own tool; and what none would do."""

from __future__ import annotations

import re
import shlex
import struct
import time

from confluent_kafka import Producer

from cdc.log.kafka import KafkaLog
from cdc.services import kafka
from cdc.services.command import run

TOOL = "org.apache.kafka.tools.TransactionsCommand"
"""What `kafka-transactions.sh` runs."""
TOOL_SECONDS_MAX = 60.0
BROKER = "1"
"""Id of a broker that stands alone."""
TRANSACTIONS = "__transaction_state"
"""Where Kafka notes what became of each transaction; only its own clients may write there."""
KAFKAS_OWN = {"client.id": "__admin_client"}
COMPLETE_COMMIT = 4


def tool(hint: str, verb: str, **options: str) -> list[list[str]]:
    """Run the command of a hint that has this verb, with other options where given; the rows of
    the table that it prints."""
    (command,) = set(re.findall(rf"`kafka-transactions\.sh ([^`]* {verb}(?: [^`]*)?)`", hint))
    words = shlex.split(command)
    for option, value in options.items():
        words[words.index(f"--{option.replace('_', '-')}") + 1] = value
    argv = [*kafka.java_program(), TOOL, *words]
    said = run(argv, doing=f"running {command}", seconds_max=TOOL_SECONDS_MAX)
    return [line.split() for line in said.splitlines()[1:]]


def tell_ended(address: str, name: str) -> None:
    """Note for the coordinator that the open transaction of this name was committed, and its
    markers written; believed once its broker has started again."""
    noted = KafkaLog(address).follow(TRANSACTIONS, {}, wait_seconds=0)
    last = [one for one in noted if one.key and one.key[4:] == name.encode()][-1]
    assert last.value
    now = time.time_ns() // 1_000_000
    # Version 0: producer's id and epoch, timeout, state, no partitions, times of change and begin.
    told = struct.pack(">h10sibiqq", 0, last.value[2:12], 60_000, COMPLETE_COMMIT, 0, now, now)
    producer = Producer({"bootstrap.servers": address, **KAFKAS_OWN})
    producer.produce(TRANSACTIONS, told, last.key, last.partition)
    assert producer.flush(TOOL_SECONDS_MAX) == 0
