"""PCA whitening: features as a few uncorrelated channels of unit variance.

A head that is trained from scratch for a few hundred iterations learns faster on them than on raw
channels, whose scales and correlations differ, and one learning rate suits all backbones. (LeCun et
al., Efficient BackProp, 1998, section 4.3.)

K: channels of a feature; P: of the whitened one; M: pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from auto_seg_loss.features.store import FeatureStore

SAMPLE = 64  # number of training images used for whitening

_FLOOR = 0.05
"""Share of the largest variance added to each: directions of little variance are noise."""


@dataclass(frozen=True, eq=False)
class Whitening:
    """x -> matrix (x - mean): matrix (P, K), mean (K, 1), both float32."""

    matrix: Tensor
    mean: Tensor

    @classmethod
    def of(cls, pixels: Tensor, channels: int) -> Whitening:
        """From pixels (K, M) of a feature; P is ``channels`` or K, if that is less."""
        x = pixels.double()
        mean = x.mean(dim=1, keepdim=True)
        centred = x - mean
        variances, directions = torch.linalg.eigh(centred @ centred.T / x.shape[1])
        variances, directions = variances.flip(0)[:channels], directions.flip(1)[:, :channels]
        # The sign of an eigenvector is arbitrary; we make the largest entry positive.
        signs = directions.gather(0, directions.abs().argmax(dim=0, keepdim=True)).sign()
        scales = (variances + _FLOOR * variances[0] + 1e-12).rsqrt()
        return cls((directions * signs * scales).T.float(), mean.float())

    def __call__(self, feature: Tensor) -> Tensor:
        """Feature (K, h, w) of any float type -> (P, h, w) float32."""
        flat = self.matrix @ (feature.flatten(1).float() - self.mean)
        return flat.view(-1, *feature.shape[1:])


def whitening_of(store: FeatureStore, paths: Sequence[str]) -> dict[str, Whitening]:
    """Whitening of each feature of a store, from SAMPLE images evenly spaced among ``paths``."""
    return _of_sample(store, tuple(paths[:: max(1, len(paths) // SAMPLE)]))


@lru_cache(maxsize=8)
def _of_sample(store: FeatureStore, paths: tuple[str, ...]) -> dict[str, Whitening]:
    store.prepare(paths)
    pixels: dict[str, list[Tensor]] = {name: [] for name in store.shapes}
    for path in paths:
        rows, columns = store.window(path).size
        for name, feature in store.read(path, False).items():
            part = store.shapes[name].stride // store.finest
            own = feature[:, : -(-rows // part), : -(-columns // part)]
            pixels[name].append(own.flatten(1))
    channels = store.channels
    return {name: Whitening.of(torch.cat(own, 1), channels) for name, own in pixels.items()}
