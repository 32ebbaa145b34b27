"""DeepLabV3+ head with an injected loss.

N: images; C: classes; H, W: pixels.

ASPP's image pooling here is global, as in the DeepLabV3 paper: Detectron2's head pools over a
window as large as the training crop, and then refuses test images that are not a multiple of it.
The parameters are the same, so weights of either head load into the other.
"""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from detectron2.projects.deeplab.semantic_seg import DeepLabV3PlusHead
from torch import Tensor, nn

from auto_seg_loss.losses import build_loss


@SEM_SEG_HEADS_REGISTRY.register()
class AnyLossDeepLabV3PlusHead(DeepLabV3PlusHead):
    """Detectron2's DeepLabV3PlusHead, trained with any module ``loss(logits, target) -> scalar``.

    The loss comes from the config, never from a checkpoint: weights trained with one loss are a
    start for another, and loading them must not bring the old control points along.
    """

    @configurable
    def __init__(self, input_shape: dict[str, ShapeSpec], *, loss: nn.Module, **head: Any) -> None:
        """``loss``: see above; called with (N, C, H, W) logits at full size. ``head``: keywords of
        ``DeepLabV3PlusHead`` but for ``loss_type`` and ``train_size``."""
        super().__init__(input_shape, train_size=None, loss_type="cross_entropy", **head)
        self.loss = loss
        self.register_load_state_dict_pre_hook(_keep_own_loss)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: dict[str, ShapeSpec]) -> dict[str, Any]:
        """Map config keys to the keywords of ``__init__``."""
        keywords = super().from_config(cfg, input_shape)
        del keywords["loss_type"], keywords["train_size"]
        return {**keywords, "loss": build_loss(cfg)}


def _keep_own_loss(
    head: AnyLossDeepLabV3PlusHead, state: dict[str, Tensor], prefix: str, *_: Any
) -> None:
    loss_prefix = f"{prefix}loss."
    for key in [key for key in state if key.startswith(loss_prefix)]:
        del state[key]
    state.update({loss_prefix + key: value for key, value in head.loss.state_dict().items()})
