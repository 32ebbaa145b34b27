"""PPO over a truncated normal, as in the paper (arXiv 2010.07930, section 3.3), in ask/tell form.

Shapes: N samples of a round, D search coordinates.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rl.agents import truncated_normal
from rl.agents.base import Vector
from rl.agents.ppo_objective import advantage_over_mean, clipped_objective, logit, lr_at, sigma_at


class PPO:
    """mean = sigmoid(logits), sigma given; `epochs` Adam steps per round on the clipped objective.

    A round without information (every advantage 0, as when all candidates failed) is skipped:
    a step would only follow the momentum of earlier rounds. Released settings: the defaults
    with baseline "mu" and rounds of n = 32. The authors' next paper uses ratio "joint", adam
    "fresh", clip 0.1, a warmup, sigma_final 0 and the default baseline.

    Args:
        identity: (D,) in [0, 1], the first mean; coordinates are kept LOGIT_MARGIN from 0 and 1.
        seed: of its generator.
        sigma: width of the normal before truncation.
        lr, epochs, clip: Adam's learning rate, steps per round, and epsilon of the clipping.
        baseline: "mean" compares with the round's mean reward. "mu" (released) compares with the
            reward of the policy's mean: `ask(n)` then returns the mean as row 0 and n - 1
            samples. n counts evaluations: a released round, 31 samples and the mean, is n = 32.
            If row 0 was lost and so is not told, the round is compared with its mean reward.
        ratio: "coordinate" (released) clips each coordinate's likelihood ratio, "joint" one for
            the whole theta.
        adam: "persistent" (released) keeps its moments over rounds, "fresh" resets them every
            round.
        warmup: share of a round's steps, in [0, 1], over which the learning rate rises from 0.
        sigma_final: anneal sigma linearly towards it over `rounds`; may be 0, as no round is at
            the very end; None keeps sigma fixed.
        rounds: length of the search; needed only with sigma_final.
    """

    def __init__(
        self,
        identity: Vector,
        *,
        seed: int,
        sigma: float = 0.2,
        lr: float = 0.2,
        epochs: int = 60,
        clip: float = 0.2,
        baseline: Literal["mean", "mu"] = "mean",
        ratio: Literal["coordinate", "joint"] = "coordinate",
        adam: Literal["persistent", "fresh"] = "persistent",
        warmup: float = 0.0,
        sigma_final: float | None = None,
        rounds: int | None = None,
    ) -> None:
        expected = {
            f"sigma > 0, got {sigma}": sigma > 0.0,
            f"lr > 0, got {lr}": lr > 0.0,
            f"epochs >= 1, got {epochs}": epochs >= 1,
            f"0 < clip < 1, got {clip}": 0.0 < clip < 1.0,
            f"0 <= warmup <= 1, got {warmup}": 0.0 <= warmup <= 1.0,
            f"sigma_final >= 0, got {sigma_final}": sigma_final is None or sigma_final >= 0.0,
            f"rounds >= 1 with sigma_final, got {rounds}": sigma_final is None or bool(rounds),
            f"baseline mean or mu, got {baseline!r}": baseline in ("mean", "mu"),
            f"ratio coordinate or joint, got {ratio!r}": ratio in ("coordinate", "joint"),
            f"adam persistent or fresh, got {adam!r}": adam in ("persistent", "fresh"),
        }
        if broken := [rule for rule, holds in expected.items() if not holds]:
            raise ValueError(f"PPO expects {'; '.join(broken)}")
        self._asks_mean, self._is_joint = baseline == "mu", ratio == "joint"
        self._persistent = adam == "persistent"
        self._sigmas, self._rounds = (sigma, sigma_final), rounds
        self._lr, self._epochs, self._clip, self._warmup = lr, epochs, clip, warmup
        self._logits = torch.from_numpy(logit(identity)).requires_grad_()
        self._adam = self._new_adam()
        self._generator = np.random.default_rng(seed)
        self._round = 0

    @property
    def mean(self) -> Vector:
        """(D,): mean of the normal before truncation."""
        mean: Vector = torch.sigmoid(self._logits.detach()).numpy()
        return mean

    @property
    def sigma(self) -> float:
        """Sigma of the next `ask`."""
        rounds = self._rounds or 1
        return sigma_at(min(self._round, rounds - 1) / rounds, *self._sigmas)

    @property
    def spread(self) -> Vector:
        """(D,): sigma for every coordinate."""
        return np.full(self._logits.shape[0], self.sigma)

    def ask(self, n: int) -> Vector:
        """(n, D) in [0, 1]; with baseline "mu" row 0 is the mean. ValueError unless n >= 2."""
        if n < 2:
            raise ValueError(
                "PPO compares the rewards of a round with their baseline and needs at least 2 "
                f"samples, got {n}"
            )
        samples = n - 1 if self._asks_mean else n
        uniform = self._generator.random((samples, self._logits.shape[0]))
        mean = torch.sigmoid(self._logits.detach())
        thetas = truncated_normal.sample(torch.from_numpy(uniform), mean, self.sigma)
        rows = [mean[None], thetas] if self._asks_mean else [thetas]
        asked: Vector = torch.cat(rows).numpy()
        return asked

    def tell(self, thetas: Vector, scores: Vector) -> None:
        """One round of learning. The policy that `ask` sampled from is the old policy."""
        # With baseline "mu" row 0 is the mean, unless it was lost. Its own advantage, 0, counts.
        over_mu = self._asks_mean and np.array_equal(thetas[0], self.mean)
        advantage = scores - scores[0] if over_mu else advantage_over_mean(scores)
        if advantage.any():
            self._improve(torch.from_numpy(thetas), torch.from_numpy(advantage))
        self._round += 1

    def _improve(self, samples: Tensor, advantage: Tensor) -> None:
        if not self._persistent:
            self._adam = self._new_adam()
        old = self._log_prob(samples).detach()
        for epoch in range(self._epochs):
            # The middle of the epoch: at its start the first step of a warm-up would have rate 0.
            progress = (epoch + 0.5) / self._epochs
            self._adam.param_groups[0]["lr"] = lr_at(progress, self._lr, self._warmup)
            log_ratio = self._log_prob(samples) - old
            if self._is_joint:
                log_ratio = log_ratio.sum(dim=1, keepdim=True)
            self._adam.zero_grad()
            loss = -clipped_objective(log_ratio, advantage, self._clip)
            torch.autograd.backward(loss)
            self._adam.step()

    def _log_prob(self, samples: Tensor) -> Tensor:
        return truncated_normal.log_prob(samples, torch.sigmoid(self._logits), self.sigma)

    def _new_adam(self) -> torch.optim.Adam:
        return torch.optim.Adam([self._logits], lr=self._lr)
