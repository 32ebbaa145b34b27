"""random_states.py: every global generator kept, written, read and given back."""

from __future__ import annotations

import random

import numpy as np
import torch

from auto_seg_loss.runtime.random_states import random_states, set_random_states, undisturbed


def draw() -> list[float]:
    """From each generator; the second normal of a pair is kept inside NumPy's state."""
    return [random.random(), random.gauss(0, 1), np.random.randn(), float(torch.rand(()))]


def test_what_was_drawn_is_drawn_again_whatever_was_drawn_inside():
    draw()
    states = random_states("cpu")
    expected = draw()
    set_random_states(states, "cpu")
    with undisturbed("cpu"):
        draw()
        torch.manual_seed(3)
    assert draw() == expected
