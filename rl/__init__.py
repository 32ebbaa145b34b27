"""Searching a loss as a black box: agents ask and are told, proxies score, a journal remembers.

Rooms: ``proxy`` (what is optimised), ``envs`` (the same as Gymnasium environments), ``agents``
(who proposes), ``executors`` (who runs it), ``journal`` (what survives a kill), ``search`` (the
loop), ``selection`` (the final choice).

Importing it registers the environments, so that ``gymnasium.make("rl:autoseg/LossSearch-v0")``
finds them; they are imported when one is made.
"""

from __future__ import annotations

import gymnasium

if "autoseg/LossSearch-v0" not in gymnasium.registry:  # this module may be loaded again
    gymnasium.register(
        "autoseg/LossSearch-v0",
        entry_point="rl.envs.loss_search:LossSearchEnv",
        vector_entry_point="rl.envs.loss_search_vector:LossSearchVectorEnv",
    )
    gymnasium.register(
        "autoseg/LossSchedule-v0", entry_point="rl.envs.loss_schedule:LossScheduleEnv"
    )
