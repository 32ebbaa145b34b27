"""hooks/progress.py: learning rates by part, throughput, memory."""

from __future__ import annotations

import pytest

from auto_seg_loss.hooks.progress import Progress

RATES = {"lr/backbone", "lr/sem_seg_head"}


def test_it_measures_at_the_end_of_each_period_and_at_last(train):
    scalars = train(Progress(3, 8), 8).scalars
    assert set(scalars) >= {*RATES, "speed/images_per_second", "memory/host_peak_MiB"}
    assert all(list(values) == [2, 5, 7] for values in scalars.values())


def test_rates_are_those_of_the_iteration(train):
    def decay(loop):
        for group in loop.optimizer.param_groups:
            group["lr"] /= 2  # as a schedule does, for the next iteration

    scalars = train(Progress(1, 8), 3, step=decay).scalars
    assert scalars["lr/backbone"] == pytest.approx({0: 0.1, 1: 0.05, 2: 0.025})
    assert scalars["lr/sem_seg_head"] == pytest.approx({0: 1, 1: 0.5, 2: 0.25})


def test_throughput_counts_the_images_of_the_steps_alone(train, monkeypatch):
    clock = iter([0.0, 0.5, 100.0, 101.5])  # two steps, and 99.5 s of something else between them
    monkeypatch.setattr("auto_seg_loss.hooks.progress.time.perf_counter", lambda: next(clock))
    scalars = train(Progress(2, 8), 2).scalars
    assert scalars["speed/images_per_second"] == {1: 2 * 8 / 2.0}
