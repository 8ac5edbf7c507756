"""The plain and the compiled form of the hot path use the same numbers."""

import re
from pathlib import Path

from cdc.capture import opcodes


def test_opcodes_are_the_same_for_both_forms():
    text = Path(opcodes.__file__).with_suffix(".pxd").read_text()
    compiled = {name: int(number) for name, number in re.findall(r"(\w+) = (\d+)", text)}
    plain = {name: value for name, value in vars(opcodes).items() if isinstance(value, int)}
    assert compiled == plain
    assert len(set(plain.values()) - {opcodes.SLACK}) == len(plain) - 1
