"""Logic on [0, 1]^2: AND, OR and XOR as surfaces made of a metric's curves.

A loss uses only part of the square: a truth y is 0 or 1, and an erosion e is at most p. The rest is
for display: y is interpolated. (ASL, arXiv 2010.07930, sec. 3.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Curve = Callable[[Tensor], Tensor]
Curves = Mapping[str, Curve]

XOR = ("and_probability", "and_eroded", "or_probability", "or_eroded")
XOR_DIFFERENCE = ("xor",)


@dataclass(frozen=True)
class Operation:
    """An operation over two ``axes``, values in [0, 1] of equal shape, and the curves it needs.

    classes: the class of its probabilities: a pixel's true class, a false class, or either.
    """

    name: str
    axes: tuple[str, str]
    curves: tuple[str, ...]
    value: Callable[[Curves, Tensor, Tensor], Tensor]
    classes: tuple[Literal["true", "false"], ...]

    def __str__(self) -> str:
        """Such as ``AND(y, p)``."""
        return f"{self.name}({', '.join(self.axes)})"


def logical_and(curves: Curves, y: Tensor, p: Tensor) -> Tensor:
    """g_and(p) y, of a truth and a probability; what ``surrogates.regions`` sums where y = 1."""
    return curves["and"](p) * y


def logical_or(curves: Curves, y: Tensor, p: Tensor) -> Tensor:
    """y + g_or(p) (1 - y), of a truth and a probability; what ``surrogates.regions`` sums."""
    return y + curves["or"](p) * (1 - y)


def logical_xor(curves: Curves, p: Tensor, e: Tensor) -> Tensor:
    """OR - AND of a probability and its erosion, the soft edge of ``surrogates.boundaries``."""
    a, b = curves["or_probability"](p), curves["or_eroded"](e)
    return a + b - a * b - curves["and_probability"](p) * curves["and_eroded"](e)


def difference_xor(curves: Curves, p: Tensor, e: Tensor) -> Tensor:
    """g(p) - g(e) of a probability and its erosion; 0 where they are equal, at least 0 elsewhere.

    A surface for e <= p, the half of the square that an erosion can reach.
    """
    return curves["xor"](p) - curves["xor"](e)


OPERATIONS = (
    Operation("AND", ("y", "p"), ("and",), logical_and, ("true",)),
    Operation("OR", ("y", "p"), ("or",), logical_or, ("false",)),
    Operation("XOR", ("p", "e"), XOR, logical_xor, ("true", "false")),
    Operation("XOR", ("p", "e"), XOR_DIFFERENCE, difference_xor, ("true", "false")),
)


def operations_of(curves: Collection[str]) -> list[Operation]:
    """The operations made of the named curves; ``ValueError`` if a curve belongs to none."""
    found = [operation for operation in OPERATIONS if set(operation.curves) <= set(curves)]
    strange = sorted(set(curves).difference(*(operation.curves for operation in found)))
    if strange:
        known = "; ".join(f"{operation}: {', '.join(operation.curves)}" for operation in OPERATIONS)
        raise ValueError(f"The curves {', '.join(strange)} belong to no operation; known: {known}.")
    return found
