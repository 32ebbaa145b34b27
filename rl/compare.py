"""Compare agents: the same proxies, budget and seeds for each.

    python -m rl.compare --proxy quadratic --proxy rastrigin --agents ppo,cma_es,tpe,random
    python -m rl.compare --journal output/search/journal.jsonl --agents ppo,ppo:baseline=mu,random

An agent's options follow its name, as in `ppo:baseline=mu,ratio=joint`; one agent may come in
several variants. Written to the output directory: table.md, regret_<proxy>.png, and tensorboard/
with one run an agent; those of an earlier comparison are removed. Equal arguments give an equal
table. An evaluation without a reward (an exception) ends the comparison: no table is written.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import Any

from autoseg_core import Space, search_space
from autoseg_core.files import user_path
from rl.agents.variants import parse_variants
from rl.comparison import write_comparisons
from rl.contest import Plan, Problem, compare
from rl.journal import JournalError
from rl.proxies import make_task
from rl.proxy import LostError, data_errors_of


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rl.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_problems(parser.add_argument_group("what to search on"))
    _add_plan(parser.add_argument_group("who searches, and for how long"))
    output = "where to write (default: %(default)s)"
    parser.add_argument(
        "--output", type=user_path, default="output/compare", metavar="DIR", help=output
    )
    return parser


def _add_problems(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    named = "a proxy by name, or module:factory; repeatable"
    add("--proxy", action="append", default=[], metavar="NAME", help=named)
    error = "standard deviation of the error of proxies that take one (default: 0)"
    add("--noise", type=float, default=0.0, help=error)
    journals = "journals of searches: the proxy `replay` answers from their candidates"
    add("--journal", nargs="+", action="extend", default=[], metavar="PATH", help=journals)
    erring = "answers from journals err as one evaluation of theirs did (default: they do not)"
    add("--journal-noise", action="store_true", help=erring)
    registering = "a module to import first, such as one that registers your metric; repeatable"
    add("--import", action="append", default=[], dest="imports", metavar="MODULE", help=registering)
    add("--metric", help="search the surfaces of this metric or objective (default: the proxy's)")
    add("--surface", help="bezier or linear (default: bezier)")
    add("--pieces", type=int, help="of a curve (default: the metric's)")


def _add_plan(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--agents", default="ppo,cma_es,tpe,random", metavar="NAME[:OPTIONS],…")
    add("--budget", type=int, default=384, help="evaluations of a run (default: 384)")
    add("--samples", type=int, default=32, help="evaluations of a round (default: 32)")
    pairing = "one evaluation of each round is the identity's, and agents are told gains over it"
    add("--paired", action="store_true", help=pairing)
    add("--seeds", type=int, default=10, help="runs of each agent (default: 10)")


def _problems(arguments: argparse.Namespace) -> list[Problem]:
    space = _space(arguments)
    noise = {"noise": arguments.noise} if arguments.noise else {}
    wanted: list[tuple[str, dict[str, Any]]] = [(name, noise) for name in arguments.proxy]
    if "replay" in arguments.proxy:
        raise ValueError("the proxy replay answers from journals: name them with --journal")
    if arguments.journal:
        journals = {"journal": arguments.journal, "noise": arguments.journal_noise}
        wanted.append(("replay", journals))
    if not wanted:
        raise ValueError("nothing to search on: name a --proxy or a --journal")
    made = [(name, *make_task(name, kwargs, space)) for name, kwargs in wanted]
    return [Problem(name, task, own.identity()) for name, task, own in made]


def _space(arguments: argparse.Namespace) -> Space | None:
    """The one asked for; None = the proxy's own."""
    if arguments.metric is not None:
        return search_space(arguments.metric, arguments.surface or "bezier", arguments.pieces)
    if arguments.surface is not None or arguments.pieces is not None:
        raise ValueError("--surface and --pieces describe the space of a --metric: name one")
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison of a command line; a mistake in it ends in one line and exit code 2."""
    parser = _parser()
    known = parser.parse_args(arguments)
    try:
        for module in known.imports:
            importlib.import_module(module)
        plan = Plan(known.budget, known.samples, known.seeds, known.paired)
        variants = parse_variants(known.agents)
        problems = _problems(known)
        for problem in problems:  # an option that is wrong now, not after an hour
            for variant in variants:
                variant.make(problem.identity, 0, plan.rounds).ask(plan.samples - plan.paired)
    except (ValueError, TypeError, AttributeError, ImportError, OSError, JournalError) as error:
        parser.error(str(error))
    own = [kind for problem in problems for kind in data_errors_of(problem.task)]
    without_reward: tuple[type[Exception], ...] = (LostError, OSError, *own)
    try:
        comparisons = list(compare(problems, variants, plan))
    except without_reward as error:
        parser.exit(2, f"{parser.prog}: no verdict, an evaluation gave no reward: {error}\n")
    print(write_comparisons(comparisons, known.output))


if __name__ == "__main__":
    main()
