"""Trainings stopped at random instants, and resumed, end as if nothing had been.

A short form of the campaign, which is a script of its own, kill_campaign.py; run it for figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KILLS, STOPS = 1, 1
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    script = str(Path(__file__).with_name("kill_campaign.py"))
    options = ("--kills", str(KILLS), "--stops", str(STOPS), "--case", "two workers")
    places = [str(ROOT), str(ROOT / "projects" / "AutoSegLoss")]
    ran = subprocess.run(
        [sys.executable, script, str(tmp_path_factory.mktemp("campaign")), *options],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(places)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    print(ran.stdout)
    return json.loads(ran.stdout)


@pytest.mark.parametrize(
    ("name", "status"), [("SIGKILL", 137), ("SIGTERM", 143), ("SIGINT twice", 130)]
)
def test_a_signal_changes_nothing_and_leaves_no_traceback(
    campaign: dict[str, Any], name: str, status: int
) -> None:
    struck = campaign[name]
    assert list(struck["exit statuses"]) == [str(status)]
    # A loader's worker may print one when SIGKILL has broken its pipe: nobody can catch that.
    assert struck["tracebacks"] == 0 or name == "SIGKILL"
    assert struck["identical"] == struck["trainings"] > 0
