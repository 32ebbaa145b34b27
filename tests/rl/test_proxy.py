"""A reward that is not finite never enters as ok; results travel through JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import pytest
from pydantic_core import to_json

from rl.proxy import FLOOR_REWARD, ProxyResult, failed, lost, result_from_json
from rl.shares import add_share


@pytest.mark.parametrize("reward", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_not_finite_fails(reward: float) -> None:
    result = ProxyResult(reward, {"mIoU": reward})
    assert (result.status, result.reward) == ("failed", FLOOR_REWARD)
    assert str(reward) in result.reason


def test_lost_has_no_reward() -> None:
    result = ProxyResult(0.9, {}, "lost", "no memory")
    assert math.isnan(result.reward)
    assert result == lost("no memory")


@pytest.mark.parametrize(
    "result",
    [
        ProxyResult(0.1 + 0.2, {"mIoU": 1 / 3, "BF1": math.nan}),
        failed("loss is NaN at step 3"),
        lost("no memory"),
    ],
)
def test_round_trip_is_exact(result: ProxyResult) -> None:
    assert result_from_json(json.loads(to_json(asdict(result), inf_nan_mode="null"))) == result


@pytest.mark.parametrize("steps", [1, 3, 7, 10, 1000])
def test_equal_shares_end_at_exactly_one(steps: int) -> None:
    progress = 0.0
    for _ in range(steps):
        assert progress < 1.0
        progress = add_share(progress, 1 / steps)
    assert progress == 1.0


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_lies_between_zero_and_one(share: float) -> None:
    with pytest.raises(ValueError, match=r"share is a part .* in \(0, 1\]"):
        add_share(0.0, share)


def test_the_end_is_the_end() -> None:
    with pytest.raises(ValueError, match=r"goes past the end: 0.75 .* start\(seed\)"):
        add_share(0.75, 0.3)
