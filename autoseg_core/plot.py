"""Draw a loss: its curves, their slopes, the gradient on a logit, and the logic they replace.

    python -m autoseg_core.plot voc-miou-bezier output/searched_loss.json -o losses.png

One column per term, under the name of its spec. The rows are

1. the curves g(p), with their control points, and the identity as a thin line;
2. their slopes g'(p); a slope of 1 is the identity's;
3. p (1 - p) g'(p), the effect of a curve on a pixel's own logit z: for softmax and sigmoid alike
   dp/dz = p (1 - p). For AND it is dI/dz, with z the logit of the true class, against cross
   entropy's -d(-log p)/dz = 1 - p. For OR it is dU/dz, with z the logit of a false class, against
   cross entropy's p. A curve of XOR acts on pixels of either kind, and is shown against both.
   Compare shapes, not heights: the score, a ratio of sums over the batch, multiplies the factor of
   each curve by a different number;
4. the surfaces: AND(y, p) = y g_and(p), OR(y, p) = y + g_or(p) (1 - y), interpolated in y between
   their edges y = 0 and 1, the only values in a loss; for a boundary metric XOR(p, e),
   of a probability and its erosion e <= p.

Slopes and factors are drawn linearly up to 1 and logarithmically beyond: they reach hundreds where
a curve starts almost vertically. Only this module imports Matplotlib; it needs no display.

Shapes: K control points of a curve, ends included; R positions along a curve; S along a surface.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from math import pi
from os.path import expanduser
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from autoseg_core.spec import LossSpec, LossTerm
from autoseg_core.surfaces import evaluate_curve, get_surface
from autoseg_core.surfaces.operations import Curves, Operation, operations_of
from autoseg_core.zoo import load_spec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POSITIONS = (1 - torch.linspace(0, pi, 401, dtype=torch.float64).cos()) / 2
"""Where curves are drawn, (R,) from 0 to 1; close together at both ends, where they are steep."""
_SIDE = torch.linspace(0, 1, 41, dtype=torch.float64)
_TICKS = (0, 0.5, 1)
_P = POSITIONS.numpy()
_CROSS_ENTROPY = {"true": ("1 - p", 1 - _P, "--"), "false": ("p", _P, ":")}
_LINES = ("curve g(p)", "slope g'(p)", "factor p (1 - p) g'(p)")


class PlotError(RuntimeError):
    """A picture cannot be drawn; the message says what to fix."""


def logit_factor(slope: Tensor, p: Tensor) -> Tensor:
    """p (1 - p) g'(p), the derivative of g(p) with respect to the logit, from the slope g'(p)."""
    return p * (1 - p) * slope


def new_figure(
    width: float, height: float, *, layout: Literal["compressed", "constrained"]
) -> Figure:
    """An empty figure, in inches, that needs no display; ``PlotError`` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise PlotError(f"pictures need matplotlib ({error}): pip install matplotlib") from None
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def frame_curves(panel: Axes, title: str) -> None:
    """Axes over the unit square for curves, with the identity as a thin line."""
    panel.plot([0, 1], [0, 1], color="0.85", linewidth=1)
    panel.set(title=title, xlabel="p", xlim=(0, 1), ylim=(-0.02, 1.02), aspect="equal")


def draw_curve(panel: Axes, surface: str, points: Tensor, label: str) -> None:
    """Draw the curve with control points (K, 2) float64 as a line, and the points as dots."""
    height = evaluate_curve(surface, points, POSITIONS)
    (line,) = panel.plot(POSITIONS.numpy(), height.numpy(), label=label)
    panel.plot(*points.T.numpy(), "o", markersize=3, color=line.get_color())


def draw_losses(specs: Sequence[LossSpec]) -> Figure:
    """Draw a column for each term of the specs, with the rows of this module's docstring.

    Save it with ``figure.savefig(path)``; a notebook shows it after ``%matplotlib inline``. Raises
    ``ValueError`` without specs, ``PlotError`` without matplotlib.
    """
    if not specs:
        raise ValueError("expected at least one loss to draw, got none")
    columns = [(_title(spec, i), term) for spec in specs for i, term in enumerate(spec.terms)]
    rows = len(_LINES) + max(len(operations_of(term.curves)) for _, term in columns)
    figure = new_figure(3.4 * len(columns) + 0.6, 3.2 * rows, layout="constrained")
    grid = figure.add_gridspec(rows, len(columns))
    for index, (title, term) in enumerate(columns):
        first = figure.axes if index else [None] * rows  # rows of lines share a scale
        panels = [figure.add_subplot(grid[r, index], sharey=first[r]) for r in range(len(_LINES))]
        _draw_lines(panels, title, term)
        for row, operation in enumerate(operations_of(term.curves), len(_LINES)):
            panel = figure.add_subplot(grid[row, index], projection="3d")
            _draw_surface(panel, operation, _curves(term))
    for panel, label in zip(figure.axes, _LINES, strict=False):  # of the first column
        panel.set_ylabel(label)
    return figure


def _title(spec: LossSpec, index: int) -> str:
    """The spec's name and its metric; with several terms also the term's number and weight."""
    term, count = spec.terms[index], len(spec.terms)
    which = f"term {index + 1} of {count}: {term.weight:g} × " if count > 1 else ""
    return f"{fill(spec.name, 32)}\n{fill(f'{which}{term.target}', 32)}"


def _points(term: LossTerm) -> dict[str, Tensor]:
    """Name -> (K, 2) float64 of each curve."""
    points = torch.tensor(term.control_points, dtype=torch.float64)
    return dict(zip(term.curves, points, strict=True))


def _curves(term: LossTerm) -> Curves:
    value = get_surface(term.surface).value
    return {name: partial(value, points) for name, points in _points(term).items()}


def _draw_lines(panels: Sequence[Axes], title: str, term: LossTerm) -> None:
    """The first three rows of a column; a curve keeps its colour in all of them."""
    curves, slopes, factors = panels
    frame_curves(curves, title)
    for panel in (slopes, factors):
        panel.set(xlabel="p", xlim=(0, 1))
        panel.set_yscale("symlog", linthresh=1)
        panel.yaxis.set_major_formatter("{x:g}")
    slopes.axhline(1, color="0.85", linewidth=1)
    p = POSITIONS[1:-1]  # a curve has no slope at its ends
    for name, points in _points(term).items():
        draw_curve(curves, term.surface, points, name)
        slope = get_surface(term.surface).slope(points, p)
        slopes.plot(p.numpy(), slope.numpy(), label=name)
        factors.plot(p.numpy(), logit_factor(slope, p).numpy(), label=name)
    curves.legend(fontsize="x-small")
    _draw_cross_entropy(factors, operations_of(term.curves))


def _draw_cross_entropy(panel: Axes, drawn: Sequence[Operation]) -> None:
    """Cross entropy's factors, labelled above the panel, where they hide no line."""
    lines = []
    for kind in dict.fromkeys(kind for operation in drawn for kind in operation.classes):
        formula, factor, style = _CROSS_ENTROPY[kind]
        label = f"cross entropy, {kind} class: {formula}"
        lines += panel.plot(_P, factor, style, color="0.4", linewidth=1, label=label)
    where: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    panel.legend(handles=lines, fontsize="x-small", frameon=False, **where)


def _draw_surface(panel: Any, operation: Operation, curves: Curves) -> None:
    """On ``panel``: three-dimensional axes, for which matplotlib has no annotations."""
    a, b = torch.meshgrid(_SIDE, _SIDE, indexing="ij")
    grid = [values.numpy() for values in (a, b, operation.value(curves, a, b))]
    panel.plot_surface(*grid, cmap="viridis", vmin=0, vmax=1, rstride=2, cstride=2)
    panel.set(title=str(operation), xlabel=operation.axes[0], ylabel=operation.axes[1])
    panel.set(xticks=_TICKS, yticks=_TICKS, zticks=_TICKS)
    panel.set_zlim(min(0.0, grid[2].min()), max(1.0, grid[2].max()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m autoseg_core.plot",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("losses", nargs="+", metavar="LOSS", help="a zoo name, a metric, or a .json file")
    written = "output file; its suffix sets the format (png, pdf, svg; default: png)"
    add("-o", "--output", required=True, type=expanduser, metavar="PATH", help=written)
    add("--dpi", type=int, default=120, help="pixels per inch (default: %(default)s)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the losses on a command line; a mistake in it gives one line and exit code 2."""
    parser = _parser()
    known = parser.parse_args(arguments)
    try:
        figure = draw_losses([load_spec(loss) for loss in known.losses])
        figure.savefig(known.output, dpi=known.dpi)
    except (PlotError, ValueError, OSError, MemoryError) as error:  # a name, folder, format, dpi
        parser.exit(2, f"{parser.prog}: error: {' '.join(str(error).split())}\n")


if __name__ == "__main__":
    main()
