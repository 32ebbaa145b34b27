"""Any network of timm that gives features as a Detectron2 backbone.

Features are called "stage<i>", i being timm's index: of a ResNet stage0 is the stem and stage1 to
stage4 its four stages, of HRNet stage1 to stage4 are the four resolutions, finest first.

N: images; H, W: their pixels; K: channels of a feature; h, w: its pixels.
"""

from __future__ import annotations

from typing import Any

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import Backbone
from torch import Tensor

from auto_seg_loss.runtime.errors import require


class TimmBackbone(Backbone):
    """A network of timm without its classifier.

    Args:
        name: as in ``timm.list_models()``.
        out_features: names of features, see above.
        in_channels: of the images.
        pretrained: fetch timm's weights, at the first use from the network.
        sync_bn: batch norms over all processes.
        options: further keywords of ``timm.create_model``.

    timm refuses a network or a feature that it has not.
    """

    def __init__(
        self,
        name: str,
        *,
        out_features: list[str],
        in_channels: int = 3,
        pretrained: bool = False,
        sync_bn: bool = False,
        options: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        timm = require("timm", "baselines", "the backbone build_timm_backbone")
        indices = sorted(int(feature.removeprefix("stage")) for feature in out_features)
        network = timm.create_model(
            name,
            pretrained=pretrained,
            features_only=True,
            in_chans=in_channels,
            out_indices=tuple(indices),
            **(options or {}),
        )
        self.network = timm.layers.convert_sync_batchnorm(network) if sync_bn else network
        # Swin and some others have channels last.
        self._last = getattr(network, "output_fmt", "NCHW") == "NHWC"
        info = network.feature_info
        self._out_features = [f"stage{index}" for index in indices]
        self._out_feature_channels = dict(zip(self._out_features, info.channels(), strict=True))
        self._out_feature_strides = dict(zip(self._out_features, info.reduction(), strict=True))
        # HRNet adds its resolutions, so each must be exactly half of the next.
        self._size_divisibility = max(stage["reduction"] for stage in info.info)

    @property
    def size_divisibility(self) -> int:
        """Images are padded to a multiple of this, the coarsest stride."""
        return self._size_divisibility

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Images (N, 3, H, W) -> features (N, K, h, w) by name."""
        features = self.network(images)
        if self._last:
            features = [feature.permute(0, 3, 1, 2) for feature in features]
        return dict(zip(self._out_features, features, strict=True))


@BACKBONE_REGISTRY.register()
def build_timm_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> TimmBackbone:
    """The network of MODEL.TIMM."""
    timm = cfg.MODEL.TIMM
    return TimmBackbone(
        timm.NAME,
        out_features=timm.OUT_FEATURES,
        in_channels=input_shape.channels,
        pretrained=timm.PRETRAINED,
        sync_bn=timm.SYNC_BN,
        options=dict(zip(timm.OPTIONS[::2], timm.OPTIONS[1::2], strict=True)),
    )
