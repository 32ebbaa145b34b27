"""Protocols of exact scores: when a class is absent, and what void is to edges.

- ``strict``: a void pixel changes nothing, anywhere: it is no edge, makes no edge, and what is
  predicted there is not looked at. A class without a target pixel (for BF1: without a target
  edge; for Boundary IoU: without a band) is absent, as in upstream Detectron2; its v0.6 still
  counts such a class as 0 once it is predicted.
- ``paper``: the numbers of the released evaluator. Edges are those of the raw label maps: the rim
  of a void area is an edge of the target, predictions inside void count as edges, and BF1 looks at
  void pixels too. A class is absent only when its ratio is 0/0: of IoU when neither target nor
  prediction has it, of BF1 when the target has no edge of it. (The rule for bands is ours: they
  see void as one more label, and are counted on valid pixels.)
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from autoseg_core.scores import AbsentRule

ProtocolName = Literal["strict", "paper"]


class Protocol(NamedTuple):
    """absent: which classes the average leaves out. edges_see_void: void is a label of its own."""

    absent: AbsentRule
    edges_see_void: bool


PROTOCOLS: dict[str, Protocol] = {
    "strict": Protocol("target", edges_see_void=False),
    "paper": Protocol("defined", edges_see_void=True),
}
