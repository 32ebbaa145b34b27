"""The mathematics of PPO: schedules, baselines, ratios, clipped objective.

Shapes: N samples of a round, D search coordinates.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rl.agents.base import Vector

LOGIT_MARGIN = 1e-3
"""Smallest distance of the initial mean from 0 and 1, whose logits are infinite."""

_MAX_LOG_RATIO = 20.0
"""Beyond it exp would overflow into inf * 0 = NaN in the backward pass; clipping acts far below."""


def sigma_at(progress: float, start: float, final: float | None) -> float:
    """Width of the policy at progress in [0, 1): constant, or linear from start to final.

    Progress never reaches 1, so a final width of 0 is approached but never used.
    """
    return start if final is None else start + (final - start) * progress


def lr_at(progress: float, lr: float, warmup: float) -> float:
    """Learning rate at progress in [0, 1) of a round: linear from 0 to lr over the first `warmup`.

    warmup, in [0, 1], is a share of the round's steps; 0 is a constant rate.
    """
    return lr if progress >= warmup else lr * progress / warmup


def logit(mean: Vector) -> Vector:
    """Inverse sigmoid of mean, after pulling it LOGIT_MARGIN away from 0 and 1."""
    mean = np.clip(mean, LOGIT_MARGIN, 1.0 - LOGIT_MARGIN)
    logits: Vector = np.log(mean) - np.log1p(-mean)
    return logits


def clipped_objective(log_ratio: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """min(r A, clip(r, 1 - eps, 1 + eps) A), to be maximised: mean over N, then sum over D.

    log_ratio, log new/old likelihood: (N, D) where every coordinate is an action of its own (the
    released code), (N, 1) where the whole theta is one action (textbook PPO). advantage (N,).

    The scale matters: Adam's eps is added to the root of the squared gradient.
    """
    ratio = log_ratio.clamp(-_MAX_LOG_RATIO, _MAX_LOG_RATIO).exp()
    weight = advantage[:, None]
    clipped = torch.minimum(ratio * weight, ratio.clamp(1.0 - clip, 1.0 + clip) * weight)
    return clipped.mean(dim=0).sum()


def advantage_over_mean(scores: Vector) -> Vector:
    """(N,): R - mean(R), exactly 0 when all are equal (rounding would feed Adam noise)."""
    advantage: Vector = scores - (scores[0] if np.ptp(scores) == 0.0 else scores.mean())
    return advantage
