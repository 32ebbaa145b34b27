"""Compare agents: the same proxies, budget and seeds for each.

    python -m benchmarks.agents --proxy quadratic --proxy rastrigin --agents ppo,cma_es,tpe,random
    python -m benchmarks.agents --journal output/search/journal.jsonl --agents ppo,ppo:baseline=mu

An agent's options follow its name, as in `ppo:baseline=mu,ratio=joint`; one agent may come in
several variants. Written to the output directory: table.md and regret_<proxy>.png; the figures of
an earlier comparison are removed. Equal arguments give an equal table. An evaluation without a
reward (an exception) ends the comparison: no table is written.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from autoseg_core import SearchSpace, search_space
from autoseg_core.files import user_path
from benchmarks.agents.comparison import write_comparisons
from benchmarks.agents.contest import Case, Plan, compare
from benchmarks.agents.replay import from_journals
from benchmarks.agents.variants import parse_variants
from rl.journal import JournalError
from rl.proxies import make_task


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agents",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_cases(parser.add_argument_group("what to search on"))
    _add_plan(parser.add_argument_group("who searches, and for how long"))
    output = "where to write (default: %(default)s)"
    parser.add_argument(
        "--output", type=user_path, default="output/compare", metavar="DIR", help=output
    )
    return parser


def _add_cases(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    named = "a proxy by name, or module:factory; repeatable"
    add("--proxy", action="append", default=[], metavar="NAME", help=named)
    error = "standard deviation of the error of proxies that take one (default: 0)"
    add("--noise", type=float, default=0.0, help=error)
    journals = "journals of searches: a regression over their candidates is one more proxy"
    add("--journal", nargs="+", action="extend", default=[], metavar="PATH", help=journals)
    erring = "answers from journals err as one evaluation of theirs did (default: they do not)"
    add("--journal-noise", action="store_true", help=erring)
    registering = "a module to import first, such as one that registers your metric; repeatable"
    add("--import", action="append", default=[], dest="imports", metavar="MODULE", help=registering)
    add("--metric", help="search the surfaces of this metric or objective (default: the proxy's)")
    add("--surface", default="bezier", help="with --metric: bezier or linear (default: bezier)")
    add("--pieces", type=int, help="with --metric: pieces per curve (default: the metric's)")


def _add_plan(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--agents", default="ppo,cma_es,tpe,random", metavar="NAME[:OPTIONS],…")
    add("--budget", type=int, default=384, help="evaluations per run (default: 384)")
    add("--samples", type=int, default=32, help="evaluations per round (default: 32)")
    pairing = "one evaluation of each round is the identity's, and agents are told gains over it"
    add("--paired", action="store_true", help=pairing)
    add("--seeds", type=int, default=10, help="runs of each agent (default: 10)")


def _cases(arguments: argparse.Namespace) -> list[Case]:
    space: SearchSpace | None = None  # the proxy's own
    if arguments.metric is not None:
        space = search_space(arguments.metric, arguments.surface, arguments.pieces)
    noise = {"noise": arguments.noise} if arguments.noise else {}
    made = [(name, *make_task(name, noise, space)) for name in arguments.proxy]
    if arguments.journal:
        replay = from_journals(arguments.journal, space, arguments.journal_noise)
        made.append(("replay", replay, replay.space))
    if not made:
        raise ValueError("nothing to search on: name a --proxy or a --journal")
    return [Case(name, task, own.identity()) for name, task, own in made]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison of a command line; a mistake in it ends in one line and exit code 2."""
    parser = _parser()
    known = parser.parse_args(arguments)
    try:
        for module in known.imports:
            importlib.import_module(module)
        plan = Plan(known.budget, known.samples, known.seeds, known.paired)
        variants = parse_variants(known.agents)
        cases = _cases(known)
        for case in cases:  # a wrong option is said now, not after an hour
            for variant in variants:
                variant.make(case.identity, 0, plan.rounds).ask(plan.samples - plan.paired)
    except (ValueError, TypeError, AttributeError, ImportError, OSError, JournalError) as error:
        parser.error(str(error))
    print(write_comparisons(list(compare(cases, variants, plan)), known.output))


if __name__ == "__main__":
    main()
