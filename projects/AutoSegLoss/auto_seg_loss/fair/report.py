"""What find_loss.py says at the end: a verdict, tables, and how to use the loss."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import markdown

from auto_seg_loss.fair.comparison import Comparison
from auto_seg_loss.fair.tables import difference, rate_table, score_table
from autoseg_core.files import replacing

_PAGE = """<!doctype html><meta charset="utf-8"><title>Losses</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
td, th {{ padding: 0.1em 0.8em; text-align: left }} img {{ max-width: 100% }}</style>
{body}
"""


@dataclass(frozen=True)
class Found:
    """What was compared on the test part.

    metric: the objective. losses: all of them, cross entropy first. best: the baseline that the
    hold-out prefers. spec: path of the searched loss.
    """

    metric: str
    losses: tuple[str, ...]
    best: str
    spec: str


def verdict(comparison: Comparison, found: Found) -> str:
    """One sentence: whether to take the searched loss."""
    gain = difference(comparison, found.spec, found.best, found.metric)
    over = f"{gain.numbers} points of {found.metric} over {found.best}, the best baseline"
    if gain.verdict == "better":
        return f"Use the searched loss: {over}."
    if gain.verdict == "worse":
        return f"Keep {found.best}: the searched loss has {over}."
    return f"{found.best} is as good, keep it: the searched loss has {over}, within the noise."


def report(comparison: Comparison, found: Found) -> str:
    """Markdown."""
    rate = comparison.rate(found.spec, found.metric)
    return f"""# The loss for {found.metric}

{verdict(comparison, found)}

{score_table(comparison, found.losses, found.metric)}

Mean and standard deviation over {comparison.seeds} seeds, in percent, on the test part, which
nothing was chosen on; differences with 95 % intervals, paired by seed. Every training has
{comparison.iterations} iterations of a head on frozen features.

{rate_table(comparison, found.losses, found.metric)}

![The searched curves beside the identity](curves.png)

## Use it

```python
from autoseg_core import load_loss

loss = load_loss("{found.spec}", ignore_index=255)
value = loss(logits, target)  # (N, C, H, W) float, (N, H, W) int
value.backward()
```

Its learning rate here was {rate:g}, that of cross entropy \
{comparison.rate("cross_entropy", found.metric):g}.

- `find.yaml`: the data and the features; `compare_losses.py` and `search_net.py` take it.
- `train.yaml`: a training of the whole network with this loss, for `train_net.py`.
- `trials.jsonl`, `journal.jsonl`: every training that was made.
"""


def write_report(folder: Path, comparison: Comparison, found: Found) -> str:
    """report.md and report.html in ``folder``; returns the Markdown."""
    text = report(comparison, found)
    body = markdown.markdown(text, extensions=["tables", "fenced_code"])
    for name, content in (("report.md", text), ("report.html", _PAGE.format(body=body))):
        with replacing(folder / name) as partial:
            partial.write_text(content, encoding="utf-8")
    return text
