"""Label maps of NumPy and of torch become tensors, copied only where torch must."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from autoseg_core.metrics.inputs import as_tensor


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint16", ">i4", "<i8", "f4"])
def test_the_type_is_kept_whatever_the_byte_order(dtype: str) -> None:
    array = np.array([[0, 1], [1, 1]], dtype=dtype)
    native = torch.from_numpy(np.zeros(1, dtype=array.dtype.newbyteorder("="))).dtype
    assert as_tensor(array).dtype == native
    assert as_tensor(array).tolist() == array.tolist()


def test_what_is_read_only_is_copied() -> None:
    array = np.zeros(3, dtype=np.uint8)
    array.flags.writeable = False
    as_tensor(array)[0] = 1
    assert array.tolist() == [0, 0, 0]
