"""hooks/progress.py: learning rates by part, throughput, memory."""

from __future__ import annotations

import pytest

from auto_seg_loss.hooks.progress import Progress

RATES = {"lr/backbone", "lr/sem_seg_head"}


def test_it_measures_at_the_end_of_each_period_and_at_last(train):
    scalars = train(Progress(3, 8), 8).scalars
    assert set(scalars) >= {*RATES, "memory/host_peak_MiB"}
    assert all(list(values) == [2, 5, 7] for values in scalars.values())


def test_rates_and_throughput_are_those_of_the_period(train):
    def step(loop):
        loop.storage.put_scalar("time", [9.0, 0.5, 1.5][loop.iter])
        for group in loop.optimizer.param_groups:
            group["lr"] /= 2  # as a schedule does, for the next iteration

    scalars = train(Progress(2, 8), 3, step=step).scalars
    assert scalars["lr/backbone"] == pytest.approx({1: 0.05, 2: 0.025})
    assert scalars["lr/sem_seg_head"] == pytest.approx({1: 0.5, 2: 0.25})
    assert scalars["speed/images_per_second"] == pytest.approx({1: 8 / 4.75, 2: 8 / 1})
