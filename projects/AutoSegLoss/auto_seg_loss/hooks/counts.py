"""The counts of a searched loss on a batch.

N: images; C: classes; H, W: pixels.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from detectron2.engine import HookBase
from torch import Tensor, nn

from auto_seg_loss.hooks.progress import ends_period
from autoseg_core import AutoSegLoss, LossSpec


class LossCounts(HookBase):
    """Logs, every ``period`` iterations and after the last, for the head's AutoSegLoss:

    - surrogate/<term>: the soft score of the batch, in [0, 1] whatever the spec's ``scale``;
    - counts/<term>/<count>/<class>: the soft counts in pixels, of the whole batch: target,
      intersection and union; for a metric of boundaries those of ``BoundaryCounts``.

    Other losses have none. They are recomputed, without gradients, on the batch of the loss (of the
    first call, if there are several per iteration). Every process needs the hook, since the loss
    may sum over processes. class_names: length C. period 0: nothing.
    """

    def __init__(self, period: int, class_names: list[str]) -> None:
        self._period, self._class_names = period, class_names
        self._handle: Any = None
        self._wanted = False

    def before_train(self) -> None:
        loss = searched_loss(self.trainer.model)
        if loss is not None and self._period > 0:
            self._handle = loss.register_forward_hook(self._look)

    def before_step(self) -> None:
        self._wanted = ends_period(self.trainer, self._period)

    def after_train(self) -> None:
        if self._handle is not None:
            self._handle.remove()

    def _look(self, loss: Any, inputs: tuple[Tensor, Tensor], _: Tensor) -> None:
        if not self._wanted:
            return
        self._wanted = False
        with torch.no_grad():
            counts = loss.counts(loss.batch(*inputs))
            scores = loss.scores(counts)
        for name, score, term in zip(term_names(loss.spec), scores, counts, strict=True):
            self._put(f"surrogate/{name}", float(score))
            for count, values in vars(term).items():
                if count != "pixels":  # independent of predictions
                    for label, value in zip(self._class_names, values.tolist(), strict=True):
                        self._put(f"counts/{name}/{count}/{label}", value)

    def _put(self, name: str, value: float) -> None:
        self.trainer.storage.put_scalar(name, value, smoothing_hint=False)


def searched_loss(model: nn.Module) -> AutoSegLoss | None:
    """The loss of the model's semantic head if it is an AutoSegLoss, also inside DDP."""
    loss = getattr(getattr(model, "module", model).sem_seg_head, "loss", None)
    return loss if isinstance(loss, AutoSegLoss) else None


def term_names(spec: LossSpec) -> list[str]:
    """The metric of each term; terms with the same metric are also numbered."""
    metrics = [term.metric for term in spec.terms]
    repeated = {name for name, times in Counter(metrics).items() if times > 1}
    return [f"{m}_{n}" if m in repeated else m for n, m in enumerate(metrics, start=1)]
