"""Class weights by class frequency, for the loss ``weighted_cross_entropy``.

    python -m auto_seg_loss.class_weights --config-file CONFIG [--rule RULE] [KEY VALUE ...]

Counts the pixels of DATASETS.TRAIN and prints the config key. So the weights are in the config,
and a training neither counts nor depends on files that may change.

C: classes. A class without pixels gets weight 0: its weight would be infinite, and is never used.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from detectron2.config import CfgNode
from numpy.typing import NDArray

from auto_seg_loss.data.catalog import ignore_label_of
from auto_seg_loss.data.file_scan import Seen
from auto_seg_loss.data.verify import check_data
from auto_seg_loss.runtime.checks import check_train_data
from auto_seg_loss.runtime.configs import load_config
from auto_seg_loss.runtime.scripts import explain_user_errors, script_parser

Vector = NDArray[np.float64]


def median_frequency(counts: Vector) -> Vector:
    """Median frequency balancing (Eigen & Fergus, 2015): w_c = median(f) / f_c.

    f_c: share of class c in the images that show it; the median is over the classes that occur.
    """
    frequency = _ratio(counts[:, 0], counts[:, 1])
    return _ratio(np.full(len(counts), np.median(frequency[frequency > 0])), frequency)


def inverse_frequency(counts: Vector) -> Vector:
    """w_c = 1 / (C' n_c), n_c the share of class c in all pixels and C' the classes that occur.

    The mean weight of a pixel is 1.
    """
    pixels = counts[:, 0]
    return _ratio(np.full(len(pixels), pixels.sum() / (pixels > 0).sum()), pixels)


WEIGHT_RULES = {rule.__name__: rule for rule in (median_frequency, inverse_frequency)}
"""Functions of counts (C, 2) that return weights (C,).

counts[c]: the pixels of class c, and the valid pixels of the images that show it.
"""


def count_pixels(labels: Iterable[Seen], num_classes: int, ignore_label: int) -> Vector:
    """(C, 2) counts in a data set's label files, see ``WEIGHT_RULES``."""
    counts = np.zeros((num_classes, 2))
    for label in labels:
        valid = {**label.counts, ignore_label: 0}
        pixels = np.array([valid.get(index, 0) for index in range(num_classes)])
        counts += np.stack([pixels, (pixels > 0) * pixels.sum()], axis=1)
    return counts


def class_weights(cfg: CfgNode, rule: str) -> list[float]:
    """(C,) weights for DATASETS.TRAIN by a rule of ``WEIGHT_RULES``, to four digits."""
    num_classes = cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES
    counts = np.zeros((num_classes, 2))
    for name in cfg.DATASETS.TRAIN:
        counts += count_pixels(check_data(cfg, name).values(), num_classes, ignore_label_of(name))
    return [float(f"{weight:.4g}") for weight in WEIGHT_RULES[rule](counts)]


def _ratio(numerator: Vector, denominator: Vector) -> Vector:
    """Quotient, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def main() -> None:
    """Print the key for a config."""
    parser = script_parser(__doc__)
    rules, default = list(WEIGHT_RULES), median_frequency.__name__
    parser.add_argument("--rule", choices=rules, default=default, help="default: %(default)s")
    arguments = parser.parse_args()
    with explain_user_errors():
        cfg = load_config(arguments.config_file, arguments.opts)
        check_train_data(cfg)
        print(f"MODEL.SEM_SEG_HEAD.LOSS_CLASS_WEIGHTS {class_weights(cfg, arguments.rule)}")


if __name__ == "__main__":
    main()
