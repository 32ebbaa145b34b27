"""Pictures of losses: what is drawn, and the command that draws."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from samples import term

from autoseg_core import LossSpec, load_spec
from autoseg_core.plot import POSITIONS, PlotError, draw_losses, main
from autoseg_core.surfaces import get_surface

INSIDE = POSITIONS[1:-1]


def one(metric: str, surface: str = "bezier", name: str = "one") -> LossSpec:
    return LossSpec.of_terms(name, term(metric, surface))


def drawn(figure: Figure, row: int) -> dict[str, np.ndarray[Any, Any]]:
    """Label -> (R, 2) of the named lines in a row of a figure of one column."""
    lines = figure.axes[row].get_lines()
    named = {str(line.get_label()): line.get_xydata() for line in lines}
    return {label: data for label, data in named.items() if not label.startswith("_")}


def points(spec: LossSpec) -> dict[str, torch.Tensor]:
    (only,) = spec.terms
    curves = torch.tensor(only.control_points, dtype=torch.float64)
    return dict(zip(only.curves, curves, strict=True))


@pytest.mark.parametrize(
    ("metric", "surface"), [("mAcc", "bezier"), ("mIoU", "linear"), ("BF1", "bezier")]
)
def test_curves_with_their_control_points_slopes_and_factors(metric: str, surface: str) -> None:
    """As the surface and autograd find them."""
    spec = one(metric, surface)
    figure = draw_losses([spec])
    lines = drawn(figure, 0)
    assert list(lines) == list(spec.terms[0].curves)
    identity, *rest = figure.axes[0].get_lines()
    assert identity.get_xydata().tolist() == [[0, 0], [1, 1]]
    dots = [line.get_xydata() for line in rest if line.get_marker() == "o"]
    for (name, curve), dot in zip(points(spec).items(), dots, strict=True):
        values = get_surface(surface).value(curve, POSITIONS)
        np.testing.assert_array_equal(lines[name], torch.stack([POSITIONS, values], 1))
        np.testing.assert_array_equal(dot, curve)
    slopes, factors = drawn(figure, 1), drawn(figure, 2)
    z = torch.logit(INSIDE).requires_grad_()
    for name, curve in points(spec).items():
        p = z.sigmoid()
        value = get_surface(surface).value(curve, p).sum()
        by_p, by_z = torch.autograd.grad(value, [p, z])
        # p goes through its logit: a slope is compared where it does not jump in between.
        kept = (curve[:, :1] - INSIDE).abs().amin(dim=0) > 1e-9
        np.testing.assert_allclose(slopes[name][kept, 1], by_p[kept], rtol=1e-6)
        np.testing.assert_allclose(factors[name][kept, 1], by_z[kept], rtol=1e-6, atol=1e-12)
        np.testing.assert_array_equal(factors[name][:, 0], INSIDE)


def test_without_matplotlib_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(PlotError, match=r"pictures need matplotlib .*: pip install matplotlib"):
        draw_losses([load_spec("voc-macc-bezier")])


def test_the_command_draws_names_and_files(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    one("mAcc", "linear", name="own").save(path)
    output = tmp_path / "losses.png"
    main(["voc-macc-bezier", str(path), "-o", str(output), "--dpi", "50"])
    content = output.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[start : start + 4], "big") for start in (16, 20))
    assert (width, height) == (50 * (2 * 3.4 + 0.6), 50 * 4 * 3.2)
