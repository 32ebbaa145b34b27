"""Hooks of a training: Detectron2's, and those that feed TensorBoard.

Hooks put scalars and images into Detectron2's EventStorage; writers take them from there.

progress.py      learning rates, throughput, memory
counts.py        counts and scores of a searched loss
pictures.py      surfaces, sample predictions
interruption.py  no step is left half done
build.py         all hooks, in their order

Scalars: total_loss, loss_*, lr, time, data_time, eta_seconds (Detectron2's), sem_seg/* (at each
evaluation); and, every VIS_PERIOD iterations, lr/<part>, speed/images_per_second, memory/*,
surrogate/<term>, counts/<term>/<count>/<class>. Images: surfaces, samples/<data set>/<image>.
"""

from __future__ import annotations

from .build import build_hooks, build_writers
from .interruption import WholeSteps
from .pictures import SamplePictures

__all__ = ["SamplePictures", "WholeSteps", "build_hooks", "build_writers"]
