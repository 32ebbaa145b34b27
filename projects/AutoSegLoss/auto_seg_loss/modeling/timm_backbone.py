"""Any network of timm that gives features as a Detectron2 backbone.

Features are called "stage<i>", i being timm's index: of a ResNet stage0 is the stem and stage1 to
stage4 its four stages, of HRNet stage1 to stage4 are the four resolutions, finest first.

N: images; H, W: their pixels; K: channels of a feature; h, w: its pixels.
"""

from __future__ import annotations

import difflib
import re
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

    ValueError for a network or a feature that timm has not.
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
        _check_name(timm, name)
        indices = sorted(_index(feature) for feature in out_features)
        try:
            network = timm.create_model(
                name,
                pretrained=pretrained,
                features_only=True,
                in_chans=in_channels,
                out_indices=tuple(indices),
                **(options or {}),
            )
        except IndexError:
            raise ValueError(
                f"MODEL.TIMM.OUT_FEATURES: {name} has no feature stage{indices[-1]}."
            ) from None
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
        options=_pairs(timm.OPTIONS),
    )


def _pairs(options: list[Any]) -> dict[str, Any]:
    if len(options) % 2:
        raise ValueError(f"MODEL.TIMM.OPTIONS: expected [KEY, VALUE, ...], got {list(options)}.")
    return dict(zip(options[::2], options[1::2], strict=True))


def _check_name(timm: Any, name: str) -> None:
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models())
        hint = f"did you mean {', '.join(close)}?" if close else "see timm.list_models()."
        raise ValueError(f"MODEL.TIMM.NAME {name!r} is not a network of timm; {hint}")


def _index(feature: str) -> int:
    match = re.fullmatch(r"stage(\d+)", feature)
    if match is None:
        raise ValueError(
            f"MODEL.TIMM.OUT_FEATURES: expected names like 'stage1', timm's index, got {feature!r}."
        )
    return int(match.group(1))
