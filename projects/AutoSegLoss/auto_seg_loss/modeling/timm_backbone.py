"""Any timm network that outputs features as a Detectron2 backbone.

Features are called "stage<i>", i being timm's index: of a ResNet stage0 is the stem and stage1 to
stage4 its four stages, of HRNet stage1 to stage4 are the four resolutions, finest first.

N: images; H, W: their pixels; K: channels of a feature; h, w: its pixels.
"""

from __future__ import annotations

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone import Backbone
from torch import Tensor

from auto_seg_loss.runtime.errors import require


class TimmBackbone(Backbone):
    """The network of MODEL.TIMM without its classifier.

    timm raises an error for an unknown network or feature.
    """

    def __init__(self, cfg: CfgNode, input_shape: ShapeSpec) -> None:
        super().__init__()
        timm = require("timm", "baselines", "the backbone build_timm_backbone")
        settings = cfg.MODEL.TIMM
        indices = sorted(int(feature.removeprefix("stage")) for feature in settings.OUT_FEATURES)
        network = timm.create_model(
            settings.NAME,
            pretrained=settings.PRETRAINED,
            features_only=True,
            in_chans=input_shape.channels,
            out_indices=tuple(indices),
            **dict(zip(settings.OPTIONS[::2], settings.OPTIONS[1::2], strict=True)),
        )
        self.network = timm.layers.convert_sync_batchnorm(network) if settings.SYNC_BN else network
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
    return TimmBackbone(cfg, input_shape)
