"""The report of find_loss.py: a verdict, tables, and how to use the loss."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import markdown
import numpy as np
from detectron2.data import MetadataCatalog
from PIL import Image

from auto_seg_loss.data.catalog import colours_of
from auto_seg_loss.study.comparison import Comparison
from auto_seg_loss.study.finding_configs import CONFIGS, PASSES
from auto_seg_loss.study.finding_verdict import Found, at_an_end, few_images, not_learned, verdict
from auto_seg_loss.study.inspection import gallery
from auto_seg_loss.study.tables import rate_table, score_table
from auto_seg_loss.visualize import Image as Picture
from auto_seg_loss.visualize import grid, legend, overlay
from autoseg_core.files import write_whole

_PAGE = """<!doctype html><meta charset="utf-8"><title>Losses</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
td, th {{ padding: 0.1em 0.8em; text-align: left }} img {{ max-width: 100% }}</style>
{body}
"""


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
    classes = comparison.cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES
    pictures = f"Test images: {', '.join(columns)}.\n\n![Test images](predictions.png)\n\n"
    return f"""# The loss for {found.metric}

{verdict(comparison, found)}{few_images(comparison.cfg)}

{score_table(comparison, found.losses, found.metric, found.beside)}\
{not_learned(comparison, found)}

Mean and standard deviation over {comparison.seeds} seeds, in percent, on the test part, on which
nothing was chosen; differences with 95 % intervals, paired by seed; "better" and "worse" hold for
the table as a whole, by Holm's method. Every training has {comparison.iterations} iterations of a
head on frozen features. All losses that were tried, at each learning rate, with one seed:

{rate_table(comparison, found.tried, found.metric, found.beside)}{at_an_end(comparison, found)}

{pictures * bool(columns)}![The searched curves beside the identity](curves.png)

## The searched loss in your own training loop

```python
import torch
from autoseg_core import load_loss

loss = load_loss("{found.spec}", ignore_index=255)
logits = torch.randn(2, {classes}, 64, 64, requires_grad=True)  # your network's, (N, C, H, W)
target = torch.randint(0, {classes}, (2, 64, 64))  # your labels, (N, H, W) int64
value = loss(logits, target)
value.backward()
```

Its learning rate here was {rate:g}, that of cross entropy \
{comparison.rate("cross_entropy", found.metric):g}.

## More trainings

{commands(comparison, found)}
`trials.jsonl` and `journal.jsonl` hold every training of this run.
"""


def commands(comparison: Comparison, found: Found) -> str:
    """What can be run next, with the configs of the run."""
    folder, rates = Path(found.spec).parent, ",".join(map("{:g}".format, comparison.rates))
    train, head = folder / "train.yaml", "MODEL.SEM_SEG_HEAD"
    plain = (f"{head}.LOSS_TYPE", "cross_entropy", f"{head}.LOSS_SPEC", "")
    again = ("--losses", ",".join(found.losses), "--metrics", found.metric, "--rates", rates)
    more = ("--iterations", str(comparison.iterations), "--seeds", str(comparison.seeds))
    one_thread = "OMP_NUM_THREADS=1 "  # as find_loss.py: on a busy machine, several wait
    search = _command("search_net.py", folder / "search.yaml")
    compare = _command("compare_losses.py", folder / "find.yaml", *again, *more)
    said = {
        f"The whole network with this loss, {PASSES} passes over the training part; it starts from "
        "the weights that computed the features, or from random ones where the command line has "
        "changed MODEL": _command("train_net.py", train),
        "The same with cross entropy": _command(
            "train_net.py", train, *plain, "OUTPUT_DIR", str(folder / "train-cross-entropy")
        ),
        "The search again": one_thread + search,
        "The comparison, for other losses, metrics or seeds": one_thread + compare,
    }
    return "\n".join(f"{what}:\n\n    {command}\n" for what, command in said.items())


def _command(script: str, config: Path, *options: str) -> str:
    project = str(CONFIGS.parent / script)
    return shlex.join([sys.executable, project, "--config-file", str(config), *options])


def write_report(folder: Path, comparison: Comparison, found: Found) -> str:
    """report.md, report.html and predictions.png in ``folder``; returns the Markdown."""
    columns, rows = predictions(comparison, found)
    if rows:
        test, pictures = comparison.cfg.DATASETS.TEST[0], grid(rows)
        names = MetadataCatalog.get(test).stuff_classes
        key = legend(names, colours_of(test), width=pictures.shape[1])
        sheet = np.concatenate([pictures, np.full_like(key[:4], 255), key])
        Image.fromarray(sheet).save(folder / "predictions.png")
    text = report(comparison, found, columns if rows else ())
    body = markdown.markdown(text, extensions=["tables", "fenced_code"])
    write_whole(folder / "report.md", text)
    write_whole(folder / "report.html", _PAGE.format(body=body))
    return text
