"""hooks/progress.py: learning rates by part, throughput, memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from auto_seg_loss.hooks.progress import Progress, named_groups

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


def test_a_part_with_several_rates_has_a_scalar_for_each():
    model = nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    groups = [
        {"params": [model["a"].weight], "lr": 1.0},
        {"params": [model["a"].bias], "lr": 2.0},
        {"params": [model["b"].weight], "lr": 3.0, "weight_decay": 0.1},
        {"params": [model["b"].bias], "lr": 3.0},
    ]
    found = dict(named_groups(model, torch.optim.SGD(groups)))
    assert found == {"a/1": 0, "a/2": 1, "b": 2}
