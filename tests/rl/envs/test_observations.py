"""Flat observations and where their fields lie."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl.envs.observations import (
    Field,
    field_slices,
    measured,
    observation_space,
    pack,
    score_vector,
)

FIELDS = (Field("theta", 3, 0.0, 1.0), Field("loss", 1, -1.0, 2.0))


def test_bounds_lie_where_the_slices_say() -> None:
    space, slices = observation_space(FIELDS), field_slices(FIELDS)
    assert (space.shape, space.dtype) == ((4,), np.float32)
    assert slices == {"theta": slice(0, 3), "loss": slice(3, 4)}
    assert space.low[slices["loss"]] == -1.0
    assert space.high[slices["loss"]] == 2.0
    assert space.high[slices["theta"]].tolist() == [1.0, 1.0, 1.0]


def test_pack_clips_to_the_bounds() -> None:
    observation = pack(FIELDS, {"loss": 7.0, "theta": [-0.5, 0.5, 1.5]})
    assert observation.dtype == np.float32
    assert observation.tolist() == [0.0, 0.5, 1.0, 2.0]
    assert observation in observation_space(FIELDS)


def test_pack_wants_every_field_in_its_size() -> None:
    with pytest.raises(ValueError, match=r"theta must have 3 numbers, got \(2,\)"):
        pack(FIELDS, {"loss": 0.0, "theta": [0.5, 0.5]})
    with pytest.raises(KeyError, match="loss"):
        pack(FIELDS, {"theta": [0.5, 0.5, 0.5]})


def test_scores_that_were_not_measured() -> None:
    scores = {"mIoU": np.float64(0.4), "BF1": math.nan, "mAcc": 1.5, "rmse": -0.5}
    names = ("BF1", "mIoU", "gAcc", "mAcc", "rmse")
    assert score_vector(scores, names).tolist() == [-1, 0.4, -1, 1, 0]
    assert measured(scores) == {"mIoU": 0.4, "mAcc": 1.5, "rmse": -0.5}
    assert type(measured(scores)["mIoU"]) is float
