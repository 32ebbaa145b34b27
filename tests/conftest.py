"""Shared by all tests: one thread, since the tensors are tiny and test workers share the cores."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
