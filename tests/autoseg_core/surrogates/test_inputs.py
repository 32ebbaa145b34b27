"""Names of backends that no longer exist."""

from __future__ import annotations

import pytest
import samples

from autoseg_core import AutoSegLoss, LossSpec

SPEC = LossSpec(name="sample", terms=(samples.term("mIoU"),))


@pytest.mark.parametrize("name", ["fused", "compiled"])
def test_retired_backends_are_auto_for_one_more_version(name: str) -> None:
    with pytest.warns(FutureWarning, match=f"backend='{name}'.* is taken as 'auto'") as caught:
        loss = AutoSegLoss(SPEC, backend=name)  # type: ignore[arg-type]
    assert loss.backend == "auto"
    assert caught[0].filename == __file__


def test_other_names_are_refused() -> None:
    with pytest.raises(ValueError, match="Unknown backend 'fast'; known: auto, reference, native"):
        AutoSegLoss(SPEC, backend="fast")  # type: ignore[arg-type]
