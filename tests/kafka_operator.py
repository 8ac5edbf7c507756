"""Kafka's operator, who does what cdc's hints say, with Kafka's own tool."""

from __future__ import annotations

import re
import shlex

from cdc.services import kafka
from cdc.services.command import run

TOOL = "org.apache.kafka.tools.TransactionsCommand"
"""What `kafka-transactions.sh` runs."""
TOOL_SECONDS_MAX = 60.0
BROKER = "1"
"""Id of a broker that stands alone."""


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
