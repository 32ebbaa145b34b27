"""The report of find_loss.py: a verdict, tables, and how to use the loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import markdown
from PIL import Image

from auto_seg_loss.data.facts import colours_of
from auto_seg_loss.study.comparison import Comparison
from auto_seg_loss.study.finding_setup import few_images
from auto_seg_loss.study.inspection import gallery
from auto_seg_loss.study.statistics import judged
from auto_seg_loss.study.tables import rate_table, score_table
from auto_seg_loss.visualize import Image as Picture
from auto_seg_loss.visualize import grid, overlay
from autoseg_core.files import replacing

_PAGE = """<!doctype html><meta charset="utf-8"><title>Losses</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
td, th {{ padding: 0.1em 0.8em; text-align: left }} img {{ max-width: 100% }}</style>
{body}
"""


@dataclass(frozen=True)
class Found:
    """The losses compared on the test part.

    metric: the objective. losses: all of them, cross entropy first. best: the best baseline on the
    hold-out. spec: path of the searched loss.
    """

    metric: str
    losses: tuple[str, ...]
    best: str
    spec: str


def verdict(comparison: Comparison, found: Found) -> str:
    """One sentence: whether to take the searched loss."""
    made = (comparison.scores(loss, found.metric).values() for loss in found.losses)
    if len({score for scores in made for score in scores}) == 1:
        return "No verdict: all losses have the same score; use more --minutes."
    claim = comparison.difference(found.spec, found.best, found.metric)
    gain = judged({found.spec: claim})[found.spec]
    over = f"{gain.numbers} points of {found.metric} over {found.best}, the best baseline"
    return {
        "better": f"Use the searched loss: {over}.",
        "worse": f"Keep {found.best}: the searched loss has {over}.",
        "": f"{found.best} is as good, keep it: the searched loss has {over}, within the noise.",
    }[gain.verdict]


def predictions(comparison: Comparison, found: Found) -> tuple[list[str], list[list[Picture]]]:
    """The column names, and a row for each shown test image: the image, and over it the truth
    and the predictions of cross entropy and the searched loss.

    A training that diverged has no column.
    """
    cfg = comparison.cfg
    colours = colours_of(cfg.DATASETS.TEST[0])
    names = {"cross_entropy": "cross_entropy", "the searched loss": found.spec}
    folders = {name: comparison.shown(loss, found.metric) for name, loss in names.items()}
    kept = {name: folder for name, folder in folders.items() if folder and folder.is_dir()}
    rows = gallery(cfg, [*kept.values()], lambda image, labels, _: overlay(image, labels, colours))
    return ["image", "truth", *kept], rows


def report(comparison: Comparison, found: Found, columns: Sequence[str] = ()) -> str:
    """Markdown; columns: of predictions.png."""
    rate = comparison.rate(found.spec, found.metric)
    pictures = f"Test images: {', '.join(columns)}.\n\n![Test images](predictions.png)\n\n"
    return f"""# The loss for {found.metric}

{verdict(comparison, found)}{few_images(comparison.cfg)}

{score_table(comparison, found.losses, found.metric)}

Mean and standard deviation over {comparison.seeds} seeds, in percent, on the test part, on which
nothing was chosen; differences with 95 % intervals, paired by seed; "better" and "worse" hold for
the table as a whole, by Holm's method. Every training has {comparison.iterations} iterations of a
head on frozen features.

{rate_table(comparison, found.losses, found.metric)}

{pictures * bool(columns)}![The searched curves beside the identity](curves.png)

## The searched loss in your own training loop

```python
from autoseg_core import load_loss

loss = load_loss("{found.spec}", ignore_index=255)
value = loss(logits, target)  # (N, C, H, W) float, (N, H, W) int
value.backward()
```

Its learning rate here was {rate:g}, that of cross entropy \
{comparison.rate("cross_entropy", found.metric):g}.

- `find.yaml`: the data and the features; `compare_losses.py` and `search_net.py` take it.
- `train.yaml`: a training of the whole network with this loss, for `train_net.py`; it starts from
  random weights unless `MODEL.WEIGHTS` is set (configs/README.md).
- `trials.jsonl`, `journal.jsonl`: every training of this run.
"""


def write_report(folder: Path, comparison: Comparison, found: Found) -> str:
    """report.md, report.html and predictions.png in ``folder``; returns the Markdown."""
    columns, rows = predictions(comparison, found)
    if rows:
        Image.fromarray(grid(rows)).save(folder / "predictions.png")
    text = report(comparison, found, columns if rows else ())
    body = markdown.markdown(text, extensions=["tables", "fenced_code"])
    for name, content in (("report.md", text), ("report.html", _PAGE.format(body=body))):
        with replacing(folder / name) as partial:
            partial.write_text(content, encoding="utf-8")
    return text
