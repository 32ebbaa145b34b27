"""Batch: logits and labels, as ``AutoSegLoss.forward`` checked them.

N: images; C: classes; H, W (and D): pixels; h, w: rows and columns of logits yet to be upsampled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from autoseg_core.numerics import working_dtype

Activation = Literal["softmax", "sigmoid"]
ACTIVATIONS: tuple[str, ...] = get_args(Activation)


@dataclass(frozen=True)
class Batch:
    """The input of the counts of every term.

    logits: (N, C, H, W) or (N, C, D, H, W) of any float dtype; (N, C, h, w) where the target is
    larger. target: integers (N, H, W) or (N, D, H, W) under "softmax", with C after N under
    "sigmoid", where it holds 0 and 1 for each class; ``ignore_index`` at void.
    """

    logits: Tensor
    target: Tensor
    ignore_index: int = 255
    activation: Activation = "softmax"
    align_corners: bool = False

    @property
    def size(self) -> list[int] | None:
        """Rows and columns to upsample the logits to, or None."""
        pixels = self.logits.ndim - 2
        same = self.logits.shape[2:] == self.target.shape[-pixels:]
        return None if same else list(self.target.shape[-2:])

    @property
    def valid(self) -> Tensor:
        """Where the target is not void, bool, of the target's shape."""
        return self.target != self.ignore_index

    def upsampled(self) -> Tensor:
        """Logits of the target's size, in the dtype of the computation."""
        values = self.logits.to(working_dtype(self.logits.dtype))
        if self.size is None:
            return values
        return F.interpolate(values, self.size, mode="bilinear", align_corners=self.align_corners)

    def images(self) -> list[Batch]:
        """The images one by one, each a batch."""
        pairs = zip(self.logits.split(1), self.target.split(1), strict=True)
        return [replace(self, logits=logits, target=target) for logits, target in pairs]

    def check_labels(self) -> None:
        """``ValueError`` for labels outside the classes; on CUDA an assertion on the device.

        Kernels for CPUs check them as they read them.
        """
        count = self.logits.shape[1] if self.activation == "softmax" else 2
        bad = ((self.target < 0) | (self.target >= count)) & self.valid
        if self.target.is_cuda or (torch.compiler.is_compiling() and not self.target.is_meta):
            torch._assert_async(~bad.any(), f"A target label lies outside 0..{count - 1}.")
        elif not self.target.is_meta and bad.any():
            raise ValueError(
                f"The target holds labels outside the classes 0..{count - 1}, such as "
                f"{int(self.target[bad][0])}; void pixels must be {self.ignore_index} "
                "(ignore_index). A binary mask with one logit per pixel needs activation='sigmoid'."
            )
