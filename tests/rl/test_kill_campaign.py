"""Searches stopped at random instants, by SIGKILL, SIGINT and SIGTERM, end as if nothing had been.

The campaign is a script of its own, kill_campaign.py; run it for its figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

KILLS = 3
ROOT = Path(__file__).parents[2]


def test_a_stopped_search_resumes_to_the_same_journal(tmp_path: Path) -> None:
    script = str(Path(__file__).with_name("kill_campaign.py"))
    ran = subprocess.run(
        [sys.executable, script, str(tmp_path / "campaign"), f"--kills={KILLS}", "--cases=ppo"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    for name, counts in json.loads(ran.stdout).items():
        assert counts["struck"] == KILLS
        assert counts["identical"] == counts["searches"] > 0
        assert name == "SIGKILL" or counts["torn"] == 0  # a signal stops between whole lines
