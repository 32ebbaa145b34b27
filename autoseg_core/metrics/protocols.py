"""Protocols of exact scores: when a class is absent, and how void affects edges.

- ``strict``: a void pixel has no effect anywhere: it is no edge, causes no edge, and predictions
  there are ignored. A class without a target pixel (for BF1: without a target edge; for Boundary
  IoU: without a band) is absent, as in upstream Detectron2; its v0.6 still counts such a class as
  0 once it is predicted.
- ``paper``: the numbers of the released evaluator. Edges are those of the raw label maps: the rim
  of a void area is an edge of the target, predictions inside void count as edges, and BF1 also
  counts void pixels. A class is absent only if its ratio is 0/0: for IoU if neither target nor
  prediction has it, for BF1 if the target has no edge of it. (The rule for bands is ours: void is
  one more label to them, and they are counted on valid pixels.)
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from autoseg_core.scores import AbsentRule

ProtocolName = Literal["strict", "paper"]


class Protocol(NamedTuple):
    """absent: which classes the average leaves out. edges_see_void: void is a separate label."""

    absent: AbsentRule
    edges_see_void: bool


PROTOCOLS: dict[str, Protocol] = {
    "strict": Protocol("target", edges_see_void=False),
    "paper": Protocol("defined", edges_see_void=True),
}
