"""Proxies on the tiny data set, and a loss that breaks them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn


@pytest.fixture
def make_proxy(shapes, make_cfg) -> Callable[..., Any]:
    """``make_proxy(KEY, VALUE, ...)``: a proxy of six iterations, from random weights."""
    from detectron2.modeling import build_model

    from auto_seg_loss.proxy import DetectronProxy
    from auto_seg_loss.search_setup import build_sets

    def make(*options: Any) -> DetectronProxy:
        cfg = make_cfg("SOLVER.MAX_ITER", 6, "SOLVER.WARMUP_ITERS", 2, *options)
        torch.manual_seed(0)
        model = build_model(cfg)
        start = {key: value.clone() for key, value in model.state_dict().items()}
        return DetectronProxy(cfg, model, start, *build_sets(cfg))

    return make


@pytest.fixture
def nan_loss() -> nn.Module:
    """A loss of NaN, whatever the logits."""

    class NotANumber(nn.Module):
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return logits.sum() * math.nan

    return NotANumber()


@pytest.fixture
def train_with(monkeypatch) -> Callable[..., Any]:
    """``with train_with(loss):`` proxies train with it."""
    from auto_seg_loss import proxy

    @contextmanager
    def instead(loss: nn.Module) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(proxy, "AutoSegLoss", lambda *_, **__: loss)
            yield

    return instead
