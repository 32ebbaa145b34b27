"""Weights from files."""

from auto_seg_loss.weights.checkpointer import Checkpointer, WholeCheckpointer
from auto_seg_loss.weights.conversion import converted
from auto_seg_loss.weights.places import local_weights, weights_digest
from auto_seg_loss.weights.reading import is_whole, read_checkpoint

__all__ = [
    "Checkpointer",
    "WholeCheckpointer",
    "converted",
    "is_whole",
    "local_weights",
    "read_checkpoint",
    "weights_digest",
]
