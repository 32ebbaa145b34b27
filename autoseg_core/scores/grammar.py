"""Metrics and objectives as text: expressions in Python's syntax, parsed but never executed.

A metric is a word, or a call of a family, ``Fbeta(beta=2)``, whose values are numbers and lists of
them. ``objective`` combines metrics by ``+``, ``*`` and ``>=``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Any


def parse(text: str) -> ast.expr:
    """Parse the text as an expression; ``ValueError`` if it is not one."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = getattr(error, "msg", None) or error
        raise ValueError(f"{shortened(text)} is not a metric or objective: {reason}.") from None


def read_call(node: ast.expr) -> tuple[str, dict[str, Any] | None]:
    """A word and its keyword arguments, None without parentheses; ``ValueError`` otherwise."""
    if isinstance(node, ast.Name):
        return node.id, None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        try:
            values = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
        except (ValueError, TypeError, RecursionError, MemoryError):
            raise ValueError("expected values that are numbers or lists such as [1,2].") from None
        if len(values) < len(node.keywords):
            raise ValueError("a parameter appears twice.")
        return node.func.id, values
    raise ValueError("expected a name, or one with name=value pairs such as Fbeta(beta=2).")


def read_number(node: ast.expr) -> float | None:
    """A number; None for any other expression."""
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    return float(value) if type(value) in (int, float) else None


def canonical_name(family: str, **values: float | Sequence[float]) -> str:
    """The canonical name of a metric, such as ``Tversky(alpha=0.3,beta=0.7)``."""
    pairs = (f"{key}={canonical_value(value)}" for key, value in values.items())
    return f"{family}({','.join(pairs)})"


def canonical_value(value: float | Sequence[float]) -> str:
    """A number, or a list of them, in its shortest exact form: ``2``, ``0.3``, ``[1,2.5]``."""
    if isinstance(value, Sequence):
        return f"[{','.join(map(canonical_value, value))}]"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def as_known(name: str, known: Iterable[str]) -> str:
    """The known name that equals ``name`` ignoring case; else ``name`` itself."""
    return {each.lower(): each for each in known}.get(name.lower(), name)


def shortened(text: str) -> str:
    """The text in quotes, truncated if it is very long."""
    return repr(text if len(text) <= 200 else text[:200] + "…")
