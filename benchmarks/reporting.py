"""What the benchmarks share: a clock, a table and a place for reports."""

import time
from pathlib import Path

REPORT = Path(__file__).parents[1] / "docs" / "benchmarks"


def timed(function, *arguments, **keywords):
    """Result of a call and its wall-clock seconds."""
    start = time.perf_counter()
    result = function(*arguments, **keywords)
    return result, time.perf_counter() - start


def markdown(header, rows):
    """A Markdown table."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (header, *rows)]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join(lines) + "\n"
