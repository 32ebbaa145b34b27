"""Trainings stopped at random instants, and resumed, end as if nothing had been.

A short form of the campaign, which is a script of its own, kill_campaign.py; run it for figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_signal_changes_nothing_and_leaves_no_traceback(tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("kill_campaign.py"))
    options = ("--kills", "1", "--stops", "1", "--case", "two workers")
    places = [str(ROOT), str(ROOT / "projects" / "AutoSegLoss")]
    ran = subprocess.run(
        [sys.executable, script, str(tmp_path), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    statuses = {"SIGKILL": 137, "SIGTERM": 143, "SIGINT twice": 130}
    campaign = json.loads(ran.stdout)
    assert campaign.keys() == statuses.keys()
    for name, struck in campaign.items():
        assert list(struck["exit statuses"]) == [str(statuses[name])], ran.stdout
        # A loader's worker may print one when SIGKILL has broken its pipe: nobody can catch that.
        assert struck["tracebacks"] == 0 or name == "SIGKILL", ran.stdout
        assert struck["identical"] == struck["trainings"] > 0, ran.stdout
