"""Weights from files.

places.py        paths, URLs, Detectron2's names, installed packages -> a local file
reading.py       a file of any kind -> a checkpoint; nothing in it is executed
checkpointer.py  a checkpoint -> a network, under its names and sufficiently complete
conversion.py    a backbone of another library -> the names of a network here
"""

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
