"""Gymnasium environments of loss search; `rl` registers them under autoseg/."""

from __future__ import annotations

from rl.envs.loss_schedule import LossScheduleEnv
from rl.envs.loss_search import LossSearchEnv
from rl.envs.loss_search_vector import LossSearchVectorEnv

__all__ = ["LossScheduleEnv", "LossSearchEnv", "LossSearchVectorEnv"]
