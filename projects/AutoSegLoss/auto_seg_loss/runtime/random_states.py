"""The states of the process's random generators as one value, to save and restore.

Detectron2's samplers, augmentations and dropout draw from the global generators of Python, NumPy
and torch. A training that keeps its own states does not depend on code that runs between its steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

States = dict[str, Any]
"""Plain values and tensors: `torch.save` writes them, `torch.load(weights_only=True)` reads."""


def random_states(device: str) -> States:
    """A copy of the states of Python, NumPy and torch, and of ``device`` if it is a GPU."""
    states: States = {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
    }
    key = states["numpy"]["state"]["key"]
    states["numpy"]["state"]["key"] = torch.from_numpy(key.astype(np.int64))
    if torch.device(device).type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def set_random_states(states: States, device: str) -> None:
    """Inverse of ``random_states``; does not change a GPU's state if there is none to set."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    numpy = states["numpy"]
    key = numpy["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": key}})
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.device(device).type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)


@contextmanager
def undisturbed(device: str) -> Iterator[None]:
    """Restore the states of the generators at the end of the block."""
    before = random_states(device)
    try:
        yield
    finally:
        set_random_states(before, device)
