"""configs.py: configs are data; options win over files, files over their bases and defaults."""

from __future__ import annotations

import pytest

from auto_seg_loss.runtime.configs import load_config, read_yaml
from auto_seg_loss.runtime.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    """``write(text)``: the path of a config file."""

    def make(text: str | bytes, name: str = "mine.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def test_options_win_over_the_file_and_the_file_over_defaults(tiny_config):
    cfg = load_config(str(tiny_config), ["SOLVER.MAX_ITER", "7"])
    assert (cfg.SOLVER.MAX_ITER, cfg.SOLVER.IMS_PER_BATCH) == (7, 4)
    assert cfg.SOLVER.MOMENTUM == 0.9
    assert not cfg.is_frozen()


def test_homes_are_expanded_wherever_a_path_stands(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    text = f'_BASE_: "{tiny_config}"\nSEARCH: {{WARM_START: {{WEIGHTS: "~/w.pth"}}}}\n'
    (tmp_path / "mine.yaml").write_text(text + 'STUDY: {LOSSES: ["~/a.json", dice]}\n')
    cfg = load_config("~/mine.yaml", ["OUTPUT_DIR", "~/out~", "MODEL.WEIGHTS", "x/~/w.pth"])
    found = [cfg.OUTPUT_DIR, cfg.SEARCH.WARM_START.WEIGHTS, cfg.STUDY.LOSSES, cfg.MODEL.WEIGHTS]
    home = str(tmp_path)
    assert found == [f"{home}/out~", f"{home}/w.pth", [f"{home}/a.json", "dice"], "x/~/w.pth"]


def test_a_file_wins_over_its_bases_and_a_later_base_over_an_earlier(write):
    write("A: 1\nB: {C: 1, D: 1}\n", "one.yaml")
    write("A: 2\nB: {C: 2}\n", "two.yaml")
    path = write("_BASE_: [one.yaml, two.yaml]\nB: {D: 3}\n")
    assert read_yaml(path) == {"A": 2, "B": {"C": 2, "D": 3}}


@pytest.mark.parametrize("place", ["mine.yaml", "base.yaml"])
def test_nothing_is_executed(write, tmp_path, place):
    bad = write(
        f'SOLVER:\n  MAX_ITER: !!python/object/apply:os.mkdir ["{tmp_path / "executed"}"]\n', place
    )
    path = bad if place == "mine.yaml" else write("_BASE_: base.yaml\n")
    with pytest.raises(ConfigError, match=rf"mine.yaml: .*python/.*{place}.*line 2"):
        load_config(str(path), [])
    assert not (tmp_path / "executed").exists()


def test_bases_are_local(write):
    with pytest.raises(ConfigError, match=r"no config file http:/+127\.0\.0\.1:1/base\.yaml"):
        read_yaml(write("_BASE_: http://127.0.0.1:1/base.yaml\n"))


@pytest.mark.parametrize(
    "text",
    ["SOLVER: [\n", "", "- 1\n", "_BASE_: 3\n", "_BASE_: mine.yaml\n", b"A: \xff\xfe"],
    ids=["cut", "empty", "list", "number as base", "itself as base", "bytes"],
)
def test_what_is_no_config_is_refused_in_one_line(write, text):
    with pytest.raises(ConfigError, match=r"mine\.yaml") as caught:
        read_yaml(write(text))
    assert "\n" not in str(caught.value)
