"""Draw bf1_xor.png: two XOR surfaces for BF1, and the edges they find on a soft map.

    python docs/figures/bf1_xor.py [-o FILE]

Left, the map p, and what each surface makes of flat areas, XOR(p, p). Then a column for each: four
free curves, with the control points published for VOC, and the difference of one curve that is
steep around 1/2. Above, the edges on the map; below, the surface over e <= p, which is all that an
erosion can reach. H, W: pixels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from autoseg_core import load_spec
from autoseg_core.surfaces import evaluate_curve
from autoseg_core.surfaces.operations import XOR, XOR_DIFFERENCE, operations_of
from autoseg_core.surrogates.boundaries import soft_edges

PUBLISHED = load_spec("voc-bf1-bezier").terms[0].control_points
STEEP = (((0.0, 0.0), (0.4, 0.05), (0.5, 0.5), (0.6, 0.95), (1.0, 1.0)),)
FORMS = {
    "four free curves (published)": (XOR, PUBLISHED, "C3"),
    "difference g(p) - g(e)": (XOR_DIFFERENCE, STEEP, "C0"),
}
Curves = dict[str, Callable[[Tensor], Tensor]]


def curves_of(names: tuple[str, ...], points: object) -> Curves:
    rows = torch.tensor(points, dtype=torch.float64)
    return {
        name: partial(evaluate_curve, "bezier", row) for name, row in zip(names, rows, strict=True)
    }


def soft_map(size: int = 48) -> Tensor:
    """A sure disc and an unsure square on an unsure ground, all with soft rims; (H, W)."""
    line = torch.arange(size, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    disc = torch.sigmoid(9 - ((y - 17) ** 2 + (x - 17) ** 2).sqrt())
    square = torch.sigmoid(7 - torch.maximum((y - 34).abs(), (x - 34).abs()))
    return 0.1 + 0.88 * disc + 0.5 * square * (1 - disc)


def draw_edges(axes: Axes, image: Tensor, curves: Curves) -> None:
    seen = torch.ones(1, 1, *image.shape, dtype=torch.bool)
    edges = soft_edges(image[None, None], seen, curves)[0, 0]
    axes.imshow(edges, vmin=0, vmax=1, cmap="viridis")


def draw_surface(axes: Axes, names: tuple[str, ...], curves: Curves) -> None:
    line = torch.linspace(0, 1, 201, dtype=torch.float64)
    e, p = torch.meshgrid(line, line, indexing="ij")
    (operation,) = operations_of(names)
    xor = torch.where(e <= p, operation.value(curves, p, e), torch.nan)
    axes.imshow(xor, origin="lower", extent=(0, 1, 0, 1), vmin=0, vmax=1, cmap="viridis")
    levels = axes.contour(p, e, xor, levels=(0.2, 0.4, 0.6, 0.8), colors="white", linewidths=0.7)
    axes.clabel(levels, fontsize=7)
    axes.set(xlabel="p", ylabel="e, its erosion")


def draw() -> Figure:
    figure = Figure(figsize=(9.6, 6.2), layout="compressed")
    FigureCanvasAgg(figure)
    (top, *tops), (bottom, *bottoms) = figure.subplots(2, 3)
    image, line = soft_map(), torch.linspace(0, 1, 201, dtype=torch.float64)
    shades = top.imshow(image, vmin=0, vmax=1, cmap="viridis")
    top.set_title("a soft map p")
    for above, below, (title, form) in zip(tops, bottoms, FORMS.items(), strict=True):
        names, points, colour = form
        curves = curves_of(names, points)
        draw_edges(above, image, curves)
        above.set_title(f"its edges:\n{title}")
        draw_surface(below, names, curves)
        below.set_title("XOR(p, e)")
        flat = operations_of(names)[0].value(curves, line, line)
        bottom.plot(line, flat, colour, label=title)
    for axes in (top, *tops):
        axes.set(xticks=[], yticks=[])
    bottom.set(title="edge in flat areas", xlabel="p = e", xlim=(0, 1), ylim=(-0.03, 1), aspect=1)
    bottom.legend(loc="upper left", fontsize="x-small", frameon=False)
    figure.colorbar(shades, ax=[tops[-1], bottoms[-1]], label="p, or soft edge")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_suffix(".png"))
    draw().savefig(parser.parse_args().output, dpi=110)


if __name__ == "__main__":
    main()
