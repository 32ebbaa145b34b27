"""Tables of the zoo, and the command that prints them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from samples import term

from autoseg_core import LossSpec, Provenance, load_spec, zoo_names
from autoseg_core.zoo.__main__ import main
from autoseg_core.zoo.table import list_losses, show_loss


def made(name: str = "made", **told: object) -> LossSpec:
    both = LossSpec.of_terms(name, term("mIoU", weight=0.25), term("BF1", "linear"))
    return both.model_copy(update={"provenance": Provenance(**told)})


def markdown_rows(text: str) -> list[list[str]]:
    """Cells of all rows of all tables, heads included."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_a_product_and_a_scale_are_told() -> None:
    terms = term("mIoU"), term("BF1", "linear")
    product = LossSpec.of_terms("made", *terms, combine="product")
    found = [
        markdown_rows(list_losses([spec], "markdown"))[1][1]
        for spec in (product, product.scaled(30.0), made().scaled(0.5))
    ]
    assert found == ["mIoU × BF1", "30 × (mIoU × BF1)", "0.5 × (0.25 × mIoU + BF1)"]
    assert ["scale", "30.0"] in markdown_rows(show_loss(product.scaled(30.0), "markdown"))


def test_one_in_full_has_every_number_and_word() -> None:
    spec = load_spec("voc-bf1-bezier")
    text = show_loss(spec)
    words = " ".join(text.split())
    points = [x for curve in spec.terms[0].control_points for point in curve for x in point]
    told = spec.provenance.model_dump(exclude={"reported", "note", "source"}, exclude_none=True)
    assert all(str(value) in words for value in [*points, *told.values()])
    assert all(key in words for key in ("tolerance", "absent", "drop_background", "note", "source"))
    assert "Term 1 of 1: BF1" in words
    assert "or_eroded" in words
    assert "74.83" in words


def test_json_is_for_programs() -> None:
    specs = [load_spec("voc-miou-bezier"), made()]
    found = json.loads(list_losses(specs, "json"))
    assert [LossSpec.from_json(json.dumps(each)) for each in found] == specs
    assert LossSpec.from_json(show_loss(specs[0], "json")) == specs[0]


def test_the_command_lists_the_zoo(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert capsys.readouterr().out == list_losses([load_spec(name) for name in zoo_names()]) + "\n"


def test_the_command_shows_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["voc-macc-bezier", "--format", "markdown"])
    assert capsys.readouterr().out.startswith("## voc-macc-bezier\n\n| provenance")
    made().save(tmp_path / "made.json")
    main([str(tmp_path / "made.json"), "--format", "json"])
    assert LossSpec.from_json(capsys.readouterr().out) == made()
