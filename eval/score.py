"""Score predictions against graded labels: ``python eval/score.py --gold … --predictions …``.

What every number means is in `docs/scoring.md`, in the lines under the table and in the JSON.
"""

import argparse
import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

if not __package__:
    # Run as a script, Python looks for modules in this folder; they are in the one above it.
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(here.parent), *(p for p in sys.path if Path(p).resolve() != here)]

from eval.messages import printable
from eval.ndcg import Empty, Gain
from eval.ranking import Ties
from eval.report import REFERENCES, markdown, show, show_rows, tex
from eval.result import About, Regime, Result, ResultError, to_json, write
from eval.runs import RunError, read_gold, read_run
from eval.scoring import KS, Options, per_clip, resolve, score
from eval.terminal import leave

Named = tuple[str, list[Path]]
"""A set of predictions: its name, and the files that make it up."""

HELP = """\
files:
  Parquet, JSON Lines, CSV with a header, or TREC, each also as .gz; a folder of such files; or -
  for standard input. One row a label.
    gold         clip_id, label, grade (2 high, 1 medium, 0 low), and where there are such columns
                 split, movie_id, genres, source. Also a workspace or release folder, and the
                 official LR2PPO project's JSON.
    predictions  clip_id, label, score: every label of the split once; higher is more relevant.
  A TREC run has the lines `clip_id Q0 label rank score tag`, in which a label with spaces is
  quoted: "old man". Without movie_id, the film is the clip id up to its last underscore.

examples:
  python eval/score.py --gold release --split target_test --predictions mine.parquet
  python eval/score.py --gold gold.csv --predictions new=a.jsonl.gz --compare old=b.csv
  zcat mine.csv.gz | python eval/score.py --gold release --split target_test --predictions - \\
      --json mine.json

Wrong files are refused with the first ten wrong rows, exit code 2, and nothing is written.
"""


def judge(
    gold: Sequence[Path],
    predictions: Sequence[Named],
    options: Options,
    *,
    compare: Sequence[Named] = (),
    matrix: bool = False,
    split: str | None = None,
    gold_columns: Mapping[str, str] | None = None,
    predictions_columns: Mapping[str, str] | None = None,
    allow_missing: bool = False,
    json: Path | None = None,
    clips: Path | None = None,
) -> Result:
    """Read, check and score files, and write what was asked for; nothing when anything is wrong.

    Args:
        gold: the parts of gold, as `eval.runs.read_gold` takes them.
        predictions: what to score, as `eval.runs.read_run` takes it.
        options: how to score.
        compare: more predictions; each of `predictions` is compared with each of these.
        matrix: compare all predictions with each other.
        split: the split of gold to score on.
        gold_columns: our name of a column of gold -> theirs.
        predictions_columns: our name of a column of predictions -> theirs.
        allow_missing: rank labels without a prediction last.
        json: where the result goes, if anywhere.
        clips: where a Parquet file with the measures of every clip goes, if anywhere.

    Raises:
        RunError: a file, a name or an option is wrong.
        ResultError: an output cannot be written.
    """
    everyone = [*predictions, *compare]
    names = [name for name, _ in everyone]
    if not predictions:
        raise RunError("no predictions were given.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise RunError(
            f"two predictions are called {twice[0]!r}; name them: --predictions A=PATH B=PATH."
        )
    if odd := [name for name in names if not name.strip() or name in REFERENCES]:
        raise RunError(f"predictions cannot be called {odd[0]!r}; name them: NAME=PATH.")
    given = [*gold, *(path for _, paths in everyone for path in paths)]
    if [str(path) for path in given].count("-") > 1:
        raise RunError("standard input (-) can be read only once.")
    if (compare or matrix) and not options.bootstrap:
        raise RunError("comparing needs --bootstrap of 100 or more.")
    options.check()
    with status("reading gold"):
        graded = read_gold(gold, split, columns=gold_columns, max_grade=options.max_grade)
    runs = []
    for name, paths in everyone:
        with status(f"reading {name}"):
            runs.append(
                read_run(
                    paths, graded, name, allow_missing=allow_missing, columns=predictions_columns
                )
            )
    inputs = [*graded.rows.files, *(file for run in runs for file in run.files)]
    taken = set(map(os.path.realpath, inputs))
    for out in filter(None, (json, clips)):
        place = os.path.realpath(out)
        if place in taken:
            raise RunError(f"{out}: is given twice; give another file for the output.")
        taken.add(place)
    first, last = range(len(predictions)), range(len(predictions), len(everyone))
    pairs = list(itertools.combinations(first, 2) if matrix else itertools.product(first, last))
    with status("scoring"):
        result, values = score(graded, runs, options, pairs)
    files: dict[Path, bytes] = {}
    if json is not None:
        files[json] = to_json(result).encode()
    if clips is not None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        sink = pa.BufferOutputStream()
        pq.write_table(per_clip(graded, runs, values, options.ks), sink)
        files[clips] = sink.getvalue().to_pybytes()
    write(files)
    return result


@contextmanager
def status(text: str) -> Iterator[None]:
    """Say on a terminal what is being done, while it is done."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


def named(texts: Sequence[str]) -> list[Named]:
    """``NAME=PATH`` or ``PATH`` -> predictions; paths given one name are the parts of one table.

    Without a name they have that of their file or folder.

    Raises:
        RunError: a name has no path.
    """
    result: list[Named] = []
    parts: dict[str, list[Path]] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        name = printable(name)
        if not equals or not name or os.path.exists(text):  # noqa: PTH110 - Path's raises for a long name
            result.append((_own_name(text), [Path(text)]))
        elif not path:
            raise RunError(f"{text}: no path; give NAME=PATH.")
        elif name in parts:
            parts[name].append(Path(path))
        else:
            parts[name] = [Path(path)]
            result.append((name, parts[name]))
    return result


def _own_name(text: str) -> str:
    if text == "-":
        return "stdin"
    path = Path(os.path.realpath(text))
    own = path.name if os.path.isdir(path) else Path(path.name.removesuffix(".gz")).stem  # noqa: PTH112
    return printable(own)  # not every file's name is UTF-8


def columns(texts: Sequence[str], option: str) -> dict[str, str]:
    """``clip_id=query`` … -> our name of a column -> theirs. Raises RunError for anything else."""
    pairs = [text.partition("=")[::2] for text in texts]
    for ours, theirs in pairs:
        if not ours or not theirs:
            raise RunError(f"{option}: give OURS=THEIRS, such as clip_id=query.")
    return dict(pairs)


def parser() -> argparse.ArgumentParser:
    """The options of the program."""
    options = argparse.ArgumentParser(
        prog="score",
        description="NDCG@k of predictions against graded labels, with honest intervals.",
        epilog=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    group = options.add_argument_group("input")
    add = group.add_argument
    several: dict[str, Any] = {"nargs": "+", "action": "extend"}
    add("--gold", type=Path, required=True, metavar="PATH", help="graded labels", **several)
    add(
        "--predictions", required=True, metavar="[NAME=]PATH", **several,
        help="what to score; paths with one NAME are parts of one table",
    )  # fmt: skip
    add(
        "--compare", default=[], metavar="[NAME=]PATH", **several,
        help="other predictions: paired differences, intervals and randomisation tests",
    )  # fmt: skip
    add("--split", help="score on this split of gold, such as target_test")
    add(
        "--gold-columns", default=[], metavar="OURS=THEIRS", **several,
        help="other names of columns, such as clip_id=query grade=rel",
    )  # fmt: skip
    add("--predictions-columns", default=[], metavar="OURS=THEIRS", help="likewise", **several)
    add(
        "--allow-missing",
        action="store_true",
        help="rank gold labels without a prediction last instead of refusing the file",
    )
    add("--max-grade", type=int, default=2, help="the highest grade (default: %(default)s)")

    group = options.add_argument_group("measure (docs/scoring.md has the consequences)")
    add = group.add_argument
    add("--k", type=int, nargs="+", default=list(KS), help="cut-offs (default: 1 3 5 10 20)")
    add("--gain", choices=get_args(Gain), help="2^grade - 1 or the grade (default: exp)")
    add(
        "--ties", choices=get_args(Ties),
        help="what equal scores are worth (default: average, exact over all their orders)",
    )  # fmt: skip
    add(
        "--empty", choices=get_args(Empty),
        help="what clips without a relevant label are worth (default: skip, and count them)",
    )  # fmt: skip
    add(
        "--compat", choices=("paper",),
        help="do as the evaluator of the released LR2PPO code: exp, stable, one",
    )  # fmt: skip
    add(
        "--relevant-from", type=int, default=1, metavar="GRADE",
        help="lowest relevant grade in MRR, precision, recall (default: %(default)s)",
    )  # fmt: skip
    add(
        "--bootstrap", type=int, default=Options.bootstrap, metavar="N",
        help="replicates over films, and draws of the tests; 0 for none (default: %(default)s)",
    )  # fmt: skip
    add(
        "--seed",
        type=int,
        default=0,
        help="seed of the bootstrap and the tests (default: %(default)s)",
    )

    group = options.add_argument_group("output")
    add = group.add_argument
    rows = group.add_mutually_exclusive_group()
    rows.add_argument("--markdown", action="store_true", help="print NDCG as a Markdown table")
    rows.add_argument("--tex", action="store_true", help="print NDCG as rows of a LaTeX tabular")
    rows.add_argument(
        "--full", action="store_true",
        help="print also precision, recall, and NDCG by genre and by source of the label",
    )  # fmt: skip
    add("--json", type=Path, metavar="FILE", help="write everything here")
    add("--per-clip", type=Path, metavar="FILE", help="write each clip's measures, as Parquet")
    for name in ("dataset", "revision", "protocol"):
        add(f"--{name}", metavar="TEXT", help="kept in the JSON, for the leaderboard")
    add("--regime", choices=get_args(Regime), help="what the method was allowed to see; likewise")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program. Returns 0, or 2 when an input is wrong."""
    given = parser().parse_args(argv)
    try:
        gain, ties, empty = resolve(given.compat, given.gain, given.ties, given.empty)
        options = Options(
            ks=tuple(given.k), gain=gain, ties=ties, empty=empty, compat=given.compat,
            relevant_from=given.relevant_from, max_grade=given.max_grade,
            bootstrap=given.bootstrap, seed=given.seed,
            about=About(given.dataset, given.revision, given.protocol, given.regime),
        )  # fmt: skip
        result = judge(
            given.gold, named(given.predictions), options, compare=named(given.compare),
            split=given.split, gold_columns=columns(given.gold_columns, "--gold-columns"),
            predictions_columns=columns(given.predictions_columns, "--predictions-columns"),
            allow_missing=given.allow_missing, json=given.json, clips=given.per_clip,
        )  # fmt: skip
    except (RunError, ResultError) as error:
        sys.stderr.write(f"score: error: {printable(str(error))}\n")
        return 2
    if given.markdown or given.tex:
        show_rows(result, markdown if given.markdown else tex)
    else:
        show(result, full=given.full)
    return 0


if __name__ == "__main__":
    leave(main)
