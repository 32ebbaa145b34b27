"""What a training shows of itself: Detectron2's hooks, and those that feed TensorBoard.

Hooks put scalars and images into Detectron2's EventStorage; writers take them from there.

progress.py   learning rates, throughput, memory       layout.py      the page of custom scalars
counts.py     counts and scores of a searched loss     writers.py     metrics.json and event files
pictures.py   surfaces, sample predictions             evaluation.py  tests, also one that was lost
build.py      all hooks and files, in their order      interruption.py   no step is left half done

Scalars: total_loss, loss_*, lr, time, data_time, eta_seconds (Detectron2's), sem_seg/* (at each
evaluation); and, every VIS_PERIOD iterations, lr/<part>, speed/images_per_second, memory/*,
surrogate/<term>, counts/<term>/<count>/<class>. Images: surfaces, samples/<data set>/<image>.
"""

from __future__ import annotations

from .build import build_files, build_hooks
from .interruption import WholeSteps
from .pictures import SamplePictures

__all__ = ["SamplePictures", "WholeSteps", "build_files", "build_hooks"]
