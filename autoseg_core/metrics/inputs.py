"""Label maps as tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_tensor(labels: Any) -> Tensor:
    """A tensor of the labels, on their device; NumPy's memory is shared where torch can.

    It refuses reversed views and other byte orders, and warns of read-only arrays: these are
    copied.
    """
    if isinstance(labels, Tensor):
        return labels.detach()
    array = np.asarray(labels)
    return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))
