"""The side effects of a search: the base class of callbacks, and the progress bar."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TextIO

from tqdm import tqdm

from rl.events import CandidateEvent, RoundEvent, SearchResult, SearchStart, SelectionEvent
from rl.signals import uninterrupted


class Callback:
    """Override what you need. Replayed candidates cause calls too: `CandidateEvent.replayed`."""

    def on_start(self, event: SearchStart) -> None:
        """Before the first round."""

    def on_candidate(self, event: CandidateEvent) -> None:
        """After each evaluation; a new one is already on disk."""

    def on_round(self, event: RoundEvent) -> None:
        """After the agent has been told a round."""

    def on_selection(self, event: SelectionEvent) -> None:
        """After the last round, before the final."""

    def on_finish(self, result: SearchResult) -> None:
        """After the final."""

    def close(self) -> None:
        """At the very end, also after an error; release resources."""


def tell_all(callbacks: Sequence[Callback], name: str, *event: Any) -> None:
    """Call this method of each callback with the event; a signal to stop waits for the last."""
    # File writers have threads and locks: an exception before a lock is released would leave them
    # waiting forever.
    with uninterrupted():
        for callback in callbacks:
            getattr(callback, name)(*event)


class ProgressBar(Callback):
    """One line per round, and on a terminal a tqdm bar below them.

    Lines show the best and the mean reward and the time left, final included, estimated from the
    evaluations of this run only: replayed ones took no time.

    Args:
        stream: output; standard error by default.
        clock: seconds, for the estimate.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock, self._best = clock, "none"
        self._bar: tqdm[NoReturn] = tqdm(
            desc="search",
            unit="eval",
            file=self._stream,
            dynamic_ncols=True,
            delay=1e-9,  # nothing is drawn before the search starts
            disable=not self._stream.isatty(),
        )

    def on_start(self, event: SearchStart) -> None:
        self._settings, self._begin = event.settings, self._clock()
        self._done, self._new, self._replayed = 0, 0, event.replayed
        self._bar.total = self._total = event.settings.max_evaluations
        self._bar.n = self._bar.initial = event.replayed
        if event.replayed:
            self._say(f"resuming: {event.replayed} evaluations are already in the journal")

    def on_candidate(self, event: CandidateEvent) -> None:
        self._done += 1
        if event.best is not None:
            self._best = f"{event.best[1].reward:.4f}"
        if not event.replayed:
            self._new += 1
            self._bar.update()

    def on_round(self, event: RoundEvent) -> None:
        minutes = self._settings.minutes
        limit = 60.0 * minutes - event.seconds if minutes else math.inf
        kinds = ("stopped", "failed", "lost")
        bad = "".join(f"  {kind} {event.counts[kind]}" for kind in kinds if event.counts[kind])
        self._say(
            f"round {event.round + 1}/{self._settings.rounds}  best {self._best}  "
            f"mean {event.reward_mean:.4f}{bad}  {self._eta(limit)}"
        )

    def on_selection(self, event: SelectionEvent) -> None:
        # Fewer than planned: failed candidates leave the rungs, and finalists may coincide.
        self._bar.total = self._total = self._done + len(event.finalists) * self._settings.reseeds
        planned = self._settings.rounds
        made = f" after {event.rounds} of {planned} rounds" * (event.rounds < planned)
        self._say(f"final{made}: {len(event.finalists)} finalists  {self._eta()}")

    def on_finish(self, result: SearchResult) -> None:
        self.close()
        self._say(result.selection.report())

    def close(self) -> None:
        self._bar.close()

    def _eta(self, limit: float = math.inf) -> str:
        """Time left at the pace of this run's own evaluations; rounds have at most `limit` s."""
        left = self._total - self._replayed - self._new
        if left <= 0:
            return "0 s left"
        if self._new == 0:
            return "time left unknown"
        pace = (self._clock() - self._begin) / self._new
        final = min(left, self._settings.max_evaluations - self._settings.search_evaluations)
        seconds = min(pace * (left - final), limit) + pace * final
        return f"{tqdm.format_interval(seconds)} left"

    def _say(self, text: str) -> None:
        self._bar.write(text, file=self._stream)
        self._stream.flush()
