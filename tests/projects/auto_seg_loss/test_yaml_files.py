"""yaml_files.py: configs are data, from local files."""

from __future__ import annotations

import pytest

from auto_seg_loss.errors import ConfigError
from auto_seg_loss.preflight import load_config
from auto_seg_loss.yaml_files import read_yaml


@pytest.fixture
def write(tmp_path):
    """``write(text)``: the path of a config file."""

    def make(text: str | bytes, name: str = "mine.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return make


def test_a_file_wins_over_its_bases_and_a_later_base_over_an_earlier(write):
    write("A: 1\nB: {C: 1, D: 1}\n", "one.yaml")
    write("A: 2\nB: {C: 2}\n", "two.yaml")
    path = write("_BASE_: [one.yaml, two.yaml]\nB: {D: 3}\n")
    assert read_yaml(path) == {"A": 2, "B": {"C": 2, "D": 3}}


def test_a_merge_is_no_key_that_is_given_twice(write):
    text = "X: &x {A: 1}\nY: &y {B: 2}\nC:\n  <<: *x\n  <<: *y\n  A: 3\n"
    assert read_yaml(write(text))["C"] == {"A": 3, "B": 2}


@pytest.mark.parametrize("read", [read_yaml, lambda path: load_config(str(path), [])])
@pytest.mark.parametrize("place", ["mine.yaml", "base.yaml"])
@pytest.mark.parametrize("tag", ["object/apply:os.mkdir", "object/new:os.mkdir", "name:os.mkdir"])
def test_nothing_is_executed(write, tmp_path, read, place, tag):
    argument = "" if tag.startswith("name") else f' ["{tmp_path / "executed"}"]'
    bad = write(f"SOLVER:\n  MAX_ITER: !!python/{tag}{argument}\n", place)
    path = bad if place == "mine.yaml" else write("_BASE_: base.yaml\n")
    with pytest.raises(ConfigError, match=rf"{place}: expected plain YAML; .*python/.* line 2, co"):
        read(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "text, words",
    [
        ("SOLVER: [\n", r"mine\.yaml: expected plain YAML; .*line 2"),
        ("", r"mine\.yaml: expected a mapping of keys, got nothing"),
        ("A:\n  B: 1\n  C: 2\n  B: 3\n", r"mine\.yaml: .*key B is given twice .*line 4,"),
        ("_BASE_: gone.yaml\n", r"^\S*/gone\.yaml: there is no such config file$"),
        ("- 1\n", "expected a mapping of keys"),
        ("hello", "expected a mapping of keys"),
        ("_BASE_: 3\n", "and in _BASE_ other files"),
        ("_BASE_: mine.yaml\n", r"mine\.yaml: a _BASE_ leads back to the file itself$"),
        (
            "_BASE_: https://example.org/a.yaml\n",
            r"https://.*a\.yaml: configs and their _BASE_ are",
        ),
        (b"A: \xff\xfe", r"mine\.yaml: expected plain YAML"),
        (b"A: \x00", r"mine\.yaml: expected plain YAML"),
    ],
    ids=[
        "cut",
        "empty",
        "twice",
        "no base",
        "list",
        "text",
        "number",
        "itself",
        "URL",
        "bytes",
        "control",
    ],
)
def test_what_is_no_config_is_refused_in_one_line(write, text, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read_yaml(write(text))
    assert "\n" not in str(caught.value)
