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


def end_hanging(hint: str) -> list[str]:
    """Abort a hanging transaction in all its partitions, as its hint says; their names."""
    ((topic, offset),) = set(re.findall(r"abort --topic (\S+) --partition 0 .*?(\d+)`", hint))
    (name,) = set(re.findall(r"If it is (\S+), or none", hint))
    producers = {one[0] for one in tool(hint, "describe-producers") if one[-1] == offset}
    assert producers, f"no producer has a transaction in {topic} that begins at {offset}"
    owners = {one[0] for one in tool(hint, "list") if one[2] in producers}
    assert owners <= {name}, f"{owners} write to the checkpoints of {name}"
    places = tool(hint, "find-hanging", broker_id=BROKER)
    assert any(one[0] == topic and offset in one for one in places), f"{places} are without {topic}"
    for other, partition, *_, start, _, _ in places:
        tool(hint, "abort", topic=other, partition=partition, start_offset=start)
    assert not tool(hint, "find-hanging", broker_id=BROKER)
    return [f"{other}[{partition}]" for other, partition, *_ in places]
