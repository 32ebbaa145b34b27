"""The policy's distribution: a normal truncated to [0, 1], independent in every coordinate.

Shapes: N samples, D coordinates; tensors broadcast. Everything is float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def log_mass(mean: Tensor, sigma: float) -> Tensor:
    """log(Phi((1 - mean) / sigma) - Phi(-mean / sigma)), the mass inside the interval.

    Both ends are mirrored into the lower tail, the accurate side, if needed, and the difference
    is computed from logarithms: finite for any mean, with a finite gradient.
    """
    low, high = -mean / sigma, (1.0 - mean) / sigma
    mirror = low > 0.0
    low, high = torch.where(mirror, -high, low), torch.where(mirror, -low, high)
    log_low: Tensor = torch.special.log_ndtr(low)
    log_high: Tensor = torch.special.log_ndtr(high)
    return log_high + torch.log(-torch.expm1(log_low - log_high))


def log_prob(x: Tensor, mean: Tensor, sigma: float) -> Tensor:
    """Log density at x in [0, 1] (outside is not checked), normalisation included.

    log N(x; mean, sigma) - log(Phi((1 - mean) / sigma) - Phi(-mean / sigma))

    The mass moves with the mean, so its gradient matters: without it the mean drifts to the walls.
    """
    z = (x - mean) / sigma
    return -0.5 * z * z - math.log(sigma) - _HALF_LOG_TWO_PI - log_mass(mean, sigma)


def sample(uniform: Tensor, mean: Tensor, sigma: float) -> Tensor:
    """Inverse CDF: uniform (N, D) in [0, 1) -> samples (N, D) in [0, 1].

    One uniform number per coordinate, so a generator's draws do not depend on the policy.
    """
    low: Tensor = torch.special.ndtr(-mean / sigma)
    high: Tensor = torch.special.ndtr((1.0 - mean) / sigma)
    z: Tensor = torch.special.ndtri(low + uniform * (high - low))
    # Rounding and ndtri(0) = -inf may leave the interval.
    return (mean + sigma * z).clamp(0.0, 1.0)
