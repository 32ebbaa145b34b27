"""Markdown tables, read back."""

from __future__ import annotations

from itertools import dropwhile, takewhile


def rows_of(text: str) -> list[list[str]]:
    """The cells of the first table of a text, its head first, without the rule below it."""
    lines = dropwhile(lambda line: not line.startswith("|"), text.splitlines())
    table = takewhile(lambda line: line.startswith("|"), lines)
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table)
    return [head, *rows]
