"""Shares of a training, which add up to exactly one (test_blend.py), and what is none."""

from __future__ import annotations

import pytest

from rl.proxies.progress import add_share


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, float("nan")])
def test_a_share_lies_between_zero_and_one(share: float) -> None:
    with pytest.raises(ValueError, match=r"share is a part .* in \(0, 1\]"):
        add_share(0.0, share)


def test_the_end_is_the_end() -> None:
    with pytest.raises(ValueError, match=r"goes past the end: 0.75 .* start\(seed\)"):
        add_share(0.75, 0.3)
