"""Searches stopped at random instants, by SIGKILL, SIGINT and SIGTERM, end as if nothing had been.

The campaign is a script of its own, kill_campaign.py; run it for its figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KILLS = 50
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    script = str(Path(__file__).with_name("kill_campaign.py"))
    ran = subprocess.run(
        [sys.executable, script, str(tmp_path_factory.mktemp("campaign")), "--kills", str(KILLS)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    print(ran.stdout)
    return json.loads(ran.stdout)


def test_sigkill_changes_nothing(campaign: dict[str, Any]) -> None:
    killed = campaign["SIGKILL"]
    assert killed["kills"] >= KILLS
    assert killed["identical"] == killed["searches"] > 0
    struck = {"header", "write", "round", "between rounds", "selection"}
    assert struck <= set(killed["kills by place"])


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_stops_between_whole_lines(
    campaign: dict[str, Any], name: str, status: int
) -> None:
    stopped = campaign[name]
    assert stopped["exit statuses"] == [status]
    assert stopped["whole lines"] == stopped["struck"] >= 5
    assert stopped["identical"] == stopped["searches"]
