"""The Detectron2 ring: searched losses in Detectron2's configs, heads, evaluators and scripts.

Importing it registers the heads, the backbone and the data sets.
"""

import warnings

with warnings.catch_warnings():
    # fvcore and Detectron2 0.6 script small functions while they are imported.
    warnings.filterwarnings("ignore", message="`torch.jit.script` is deprecated")
    from auto_seg_loss import data, modeling  # noqa: F401  (registration)
    from auto_seg_loss.config import add_auto_seg_loss_config

__all__ = ["add_auto_seg_loss_config"]
