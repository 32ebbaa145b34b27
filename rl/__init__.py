"""Black-box search for a loss: ask/tell agents propose, proxies score, a journal records.

Importing it registers the environments, so that ``gymnasium.make("rl:autoseg/LossSearch-v0")``
finds them; their modules are imported when an environment is made.
"""

from __future__ import annotations

import gymnasium

if "autoseg/LossSearch-v0" not in gymnasium.registry:  # this module may be reloaded
    gymnasium.register(
        "autoseg/LossSearch-v0",
        entry_point="rl.envs.loss_search:LossSearchEnv",
        vector_entry_point="rl.envs.loss_search_vector:LossSearchVectorEnv",
    )
    gymnasium.register(
        "autoseg/LossSchedule-v0", entry_point="rl.envs.loss_schedule:LossScheduleEnv"
    )
