"""Auto Seg-Loss: segmentation metrics as differentiable, parameterised losses.

``load_loss("miou")`` returns a searched loss for a training loop, ``soft_loss("mIoU")`` an
unsearched one. ``gradient_scale`` computes the factor with which a loss trains at cross entropy's
learning rate, ``SegmentationScores`` the exact metrics, ``search_space`` the search coordinates.
"""

from autoseg_core.curve_space import Constraints
from autoseg_core.metrics import SegmentationScores
from autoseg_core.objective import Objective
from autoseg_core.scaling import gradient_scale
from autoseg_core.scores import METRICS, PAPER_METRICS, Metric, get_metric, register_metric
from autoseg_core.space import SearchSpace, search_space
from autoseg_core.spec import LossSpec, LossTerm, Provenance, SpecError
from autoseg_core.surrogates import AutoSegLoss, soft_loss
from autoseg_core.zoo import RECOMMENDED, load_loss, load_spec, zoo_names

__version__ = "0.1.0"

__all__ = [
    "METRICS",
    "PAPER_METRICS",
    "RECOMMENDED",
    "AutoSegLoss",
    "Constraints",
    "LossSpec",
    "LossTerm",
    "Metric",
    "Objective",
    "Provenance",
    "SearchSpace",
    "SegmentationScores",
    "SpecError",
    "get_metric",
    "gradient_scale",
    "load_loss",
    "load_spec",
    "register_metric",
    "search_space",
    "soft_loss",
    "zoo_names",
]
