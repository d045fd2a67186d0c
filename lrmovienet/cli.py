"""`lrmovienet <verb>`: one command an arrow of the data's way, opened only when it is asked for."""

import argparse
import importlib
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from eval.messages import printable
from eval.terminal import leave
from lrmovienet import __version__
from lrmovienet.errors import UserError
from lrmovienet.torchrun import is_first
from lrmovienet.wrong_words import said


class Verb(NamedTuple):
    """A command: the module that holds its config and function, and what it does in a line."""

    module: str
    config: str
    help: str
    words: str = ""
    """The option to which words without one go."""


VERBS = {
    "doctor": Verb(
        "lrmovienet.movienet.doctor", "DoctorConfig", "what a copy of MovieNet holds", "root"
    ),
    "synth": Verb("lrmovienet.synthetic", "SynthConfig", "generate a corpus with known relevance"),
    "ingest": Verb("lrmovienet.ingest", "IngestConfig", "films or a MovieNet tree -> clips"),
    "tag": Verb("lrmovienet.tagging", "TagConfig", "clips -> image_labels, from the keyframes"),
    "extract": Verb(
        "lrmovienet.text", "ExtractConfig", "clips -> text_labels: events and entities"
    ),
    "merge": Verb("lrmovienet.candidates", "MergeConfig", "image and text labels -> candidates"),
    "show": Verb("lrmovienet.cards", "ShowConfig", "clips as pictures with their labels"),
    "annotate plan": Verb(
        "annotation.plan", "PlanConfig", "what annotating would take: hours and cost", "form"
    ),
    "annotate push": Verb(
        "annotation.push", "PushConfig", "candidates -> Label Studio, one project a person", "form"
    ),
    "annotate simulate": Verb(
        "annotation.simulate", "SimulateConfig", "answer what was pushed, as generated people"
    ),
    "annotate pull": Verb(
        "annotation.pull", "PullConfig", "Label Studio -> ratings, pair_ratings, screenings"
    ),
    "annotate agreement": Verb(
        "annotation.report", "AgreementConfig", "how far people agree: JSON, table and figure"
    ),
    "annotate export": Verb(
        "annotation.export", "ExportConfig", "ratings as they may be published: no names", "out"
    ),
    "aggregate": Verb(
        "annotation.aggregate", "AggregateConfig", "ratings, pairs -> relevance, preferences"
    ),
    "split": Verb("lrmovienet.splits", "SplitConfig", "relevance, preferences -> records, pairs"),
    "encode": Verb("lrmovienet.encode", "EncodeConfig", "records -> a feature store"),
    "train random": Verb("baselines.floor_verbs", "TrainRandom", "a random order -> a ranker"),
    "train prior": Verb(
        "baselines.floor_verbs", "TrainPrior", "a label's mean grade in training -> a ranker"
    ),
    "train frequency": Verb(
        "baselines.floor_verbs", "TrainFrequency", "how common a label is -> a ranker"
    ),
    "train lexical": Verb(
        "baselines.floor_verbs", "TrainLexical", "how much of a label is in the text -> a ranker"
    ),
    "train bm25": Verb(
        "baselines.floor_verbs", "TrainBM25", "BM25 of a label in the text -> a ranker"
    ),
    "train text-cosine": Verb(
        "baselines.floor_verbs", "TrainTextCosine", "cosine of label and text -> a ranker"
    ),
    "train sentence-cosine": Verb(
        "baselines.floor_verbs", "TrainSentenceCosine", "the same, embedded apart -> a ranker"
    ),
    "train image-tag": Verb(
        "baselines.floor_verbs", "TrainImageTag", "how sure the image tagger was -> a ranker"
    ),
    "train lambdamart": Verb(
        "baselines.lambdamart_verb", "TrainLambdaMART", "LambdaMART, boosted trees -> a ranker"
    ),
    "train lr2ppo-base": Verb(
        "baselines.lr2ppo.verbs", "TrainBase", "LR²PPO, stage 1: source grades -> a ranker"
    ),
    "train lr2ppo-reward": Verb(
        "baselines.lr2ppo.verbs", "TrainReward", "LR²PPO, stage 2: pairs -> a reward model"
    ),
    "train lr2ppo": Verb(
        "baselines.lr2ppo.verbs", "TrainPPO", "LR²PPO, all three stages -> a ranker"
    ),
    "train dcpg": Verb(
        "baselines.dcpg.verb", "TrainDCPG", "attention by policy gradients (DCPG) -> a ranker"
    ),
    "train preference": Verb(
        "baselines.preference_verb",
        "TrainPreference",
        "LR²PPO's control: stage 1, then a pairwise loss",
    ),
    "train distillation": Verb(
        "baselines.control_verbs",
        "TrainDistillation",
        "LR²PPO's control: its reward model, learned by lists",
    ),
    "train pl-rank": Verb(
        "baselines.control_verbs", "TrainPLRank", "LR²PPO's control: stage 1, then PL-Rank"
    ),
    "train grpo": Verb(
        "baselines.control_verbs", "TrainGRPO", "LR²PPO's control: stage 1, then GRPO on rankings"
    ),
    **{
        f"train {name}": Verb("baselines.ltr.verbs", f"Train{title}", f"{what} -> a ranker")
        for name, title, what in (
            ("listnet", "ListNet", "ListNet, top-one cross-entropy"),
            ("dlcm", "DLCM", "DLCM, a GRU over stage 1's order"),
            ("prm", "PRM", "PRM, a transformer over stage 1's order"),
            ("gsf", "GSF", "GSF, labels scored in groups"),
            ("setrank", "SetRank", "SetRank, self-attention blocks"),
            ("rankformer", "RankFormer", "RankFormer, with a list-wide loss"),
            ("context", "Context", "a context-aware transformer, NDCGLoss2++"),
            ("dasalc", "DASALC", "DASALC, self-attention with latent cross"),
        )
    },
    "train clip": Verb(
        "baselines.clip_verb", "TrainClip", "CLIP or SigLIP, zero-shot: labels against frames"
    ),
    "train mkt": Verb(
        "baselines.mkt_verb", "TrainMkt", "MKT, from its authors' checkpoints -> a ranker"
    ),
    "match": Verb(
        "baselines.dcpg.match_verb", "MatchConfig", "train and evaluate image-text matching (DCPG)"
    ),
    "curves": Verb(
        "baselines.lr2ppo.curves", "CurvesConfig", "how LR²PPO trained, as figures", "rankers"
    ),
    "predict": Verb("baselines.predict", "PredictConfig", "a ranker -> predictions"),
    "score": Verb("lrmovienet.score", "ScoreConfig", "predictions against gold -> NDCG@k"),
    "compare": Verb(
        "lrmovienet.compare",
        "CompareConfig",
        "predictions against each other -> a matrix",
        "predictions",
    ),
    "leaderboard": Verb(
        "lrmovienet.leaderboard", "LeaderboardConfig", "results -> a table", "results"
    ),
    "bench": Verb(
        "baselines.benchmark.verb",
        "BenchConfig",
        "methods, regimes and seeds -> rankers and results",
        "methods",
    ),
    "release build": Verb(
        "lrmovienet.release.build", "BuildConfig", "a workspace -> a folder to be published"
    ),
    "stats": Verb("lrmovienet.stats", "StatsConfig", "a release in tables and figures", "release"),
    "leaks": Verb("lrmovienet.leaks", "LeaksConfig", "what a release's splits share", "release"),
    "diff": Verb(
        "lrmovienet.release.diff", "DiffConfig", "what changed between two releases", "releases"
    ),
    "publish": Verb(
        "lrmovienet.release.publish",
        "PublishConfig",
        "a release -> the Hugging Face Hub",
        "release",
    ),
    "hydrate": Verb(
        "lrmovienet.release.hydrate",
        "HydrateConfig",
        "a release and one's own frames -> a workspace",
        "release",
    ),
    "upstream write": Verb(
        "lrmovienet.upstream.write", "WriteConfig", "a workspace -> LR2PPO's own files", "out"
    ),
    "upstream read": Verb(
        "lrmovienet.upstream.read", "ReadConfig", "LR2PPO's own files -> a workspace", "folder"
    ),
    "upstream checkpoint": Verb(
        "baselines.lr2ppo.upstream_verb",
        "CheckpointConfig",
        "a checkpoint of LR2PPO's own -> a network",
        "checkpoint",
    ),
    "status": Verb(
        "lrmovienet.status", "StatusConfig", "what a workspace holds, and what was dropped"
    ),
}
"""In the order in which the data flows."""

GROUPS = {verb.split()[0] for verb in VERBS if " " in verb}
"""First words of the verbs of two words."""

YES_NO = (["true"], ["false"])
SILENCE_S = 10.0
"""How long one of several processes waits before it fails with a message of its own."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Returns 0, or 2 for a wrong input, or 130 when interrupted."""
    argv = list(sys.argv[1:] if argv is None else argv)
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    words = 2 if argv[:1] and argv[0] in GROUPS else 1
    verb = " ".join(argv[:words])
    if verb not in VERBS:
        return _no_verb(argv)
    del argv[:words]
    try:
        return _run(verb, argv)
    except UserError as error:
        return _fail(verb, str(error))
    except ModuleNotFoundError as error:
        return _fail(verb, _what_to_install(error))
    except MemoryError:
        return _fail(verb, "memory ran out. Use smaller batches or fewer --processes.")
    except BrokenPipeError:  # the reader of our output has gone; `entry` knows what to do
        raise
    except OSError as error:
        if error.errno is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return _fail(
            verb,
            f"{where}{error.strerror}. Finished tables are as they were; put it right and run the "
            "same command again: it goes on where it stopped.",
        )
    except KeyboardInterrupt:
        if is_first():
            sys.stderr.write(f"lrmovienet {verb}: interrupted; run the same command to go on.\n")
        return 130


def _run(verb: str, argv: list[str]) -> int:
    module = importlib.import_module(VERBS[verb].module)
    module.run(parse(verb, getattr(module, VERBS[verb].config), argv))
    return 0


def parse(verb: str, config_class: type, argv: list[str]) -> Any:
    """Options of a verb -> its frozen config. Every option is one field of the dataclass.

    ``--config FILE.yaml`` holds one section a verb (``tag: {shard: 8}``), so that one file can
    describe a whole dataset; options given beside it win.

    Raises:
        UserError: the file is missing, not YAML, or has a section that is no verb.
        SystemExit: 2 for a wrong option, 0 after ``--help`` or ``--print_config``.
    """
    import jsonargparse
    import yaml

    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(
        prog=f"lrmovienet {verb}", description=VERBS[verb].help, print_config=None,
        exit_on_error=False,
    )  # fmt: skip
    parser.add_argument(
        "--config", action="config", help=f"YAML file; its section {verb!r} sets the options below"
    )
    parser.add_argument(
        "--print_config", action="store_true", help="print what would run, as such a file, and exit"
    )
    parser.add_class_arguments(config_class, as_group=False)
    types = get_type_hints(config_class)
    try:
        given = parser.parse_args(_normalise(argv, types, verb))
    except argparse.ArgumentError as error:
        what = said(str(error), types).rstrip(".")
        _fail(verb, f"{what}. `lrmovienet {verb} --help` lists the options.")
        parser.exit(2)
    if given.pop("print_config"):
        section = yaml.safe_load(parser.dump(given))
        # The parser leaves out options without a value; what would run has them all.
        section = {f.name: section.get(f.name) for f in fields(config_class)}
        text = yaml.safe_dump({verb: section}, sort_keys=False, allow_unicode=True)
        sys.stdout.write(text)
        parser.exit()
    return config_class(**{f.name: given[f.name] for f in fields(config_class)})


def _normalise(argv: list[str], types: dict[str, Any], verb: str) -> list[str]:
    """Options as jsonargparse has them.

    Dashes become underscores, a bare flag ``=true``, an option with a list is emptied and then
    appended to with every word that follows it, numbers become ``=[1, 2]``, and a config file
    becomes this verb's section, first, so that what is given beside it wins.
    """
    configs: list[str] = []
    result: list[str] = []
    left = list(argv)

    def append(name: str, value: str) -> None:
        if f"--{name}=[]" not in result:
            result.append(f"--{name}=[]")
        result.append(f"--{name}+={value}")

    def following() -> list[str]:
        """Take the words up to the next option."""
        end = next((i for i, w in enumerate(left) if w.startswith("--")), len(left))
        taken = left[:end]
        del left[:end]
        return taken

    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            positional = VERBS[verb].words
            if positional and _is(list, types[positional]):
                append(positional, word)
            elif positional and not any(w.startswith(f"--{positional}=") for w in result):
                result.append(f"--{positional}={word}")
            else:
                result.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        hint = types.get(name)
        if name == "config":
            if not equals:
                if not left:
                    raise UserError("--config needs a file.")
                value = left.pop(0)
            configs.append(f"--config={_section(Path(value), verb)}")
        elif equals:
            if _is(list, hint) and not value.startswith("["):
                append(name, value)
            else:
                result.append(f"--{name}={value}")
        elif name == "print_config":
            result.append(word)
        elif hint is bool or bool in get_args(hint):
            result.append(f"--{name}={left.pop(0) if left[:1] in YES_NO else 'true'}")
        elif _is(list, hint) and (values := following()):
            for value in values:
                append(name, value)
        elif _is(tuple, hint) and (values := following()):
            numbers = ",".join(values)
            result.append(f"--{name}={numbers}" if "[" in numbers else f"--{name}=[{numbers}]")
        else:
            result.append(f"--{name}")
            result += [left.pop(0)] if left and not left[0].startswith("--") else []
    return configs + result


def _is(kind: type, hint: Any) -> bool:
    """Whether a field's type is a list (or a tuple), or may be one."""
    return get_origin(hint) is kind or any(get_origin(part) is kind for part in get_args(hint))


def _section(path: Path, verb: str) -> str:
    """One verb's part of a config file, as JSON (which is YAML)."""
    import json

    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise UserError(f"{path}: no such config file.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a readable YAML file: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: expected one section a verb, such as `tag: {{shard: 8}}`.")
    unknown = [str(name) for name in content if name not in VERBS]
    if unknown:
        raise UserError(
            f"{path}: unknown section {', '.join(unknown)}; sections are verbs: {', '.join(VERBS)}."
        )
    section = content.get(verb) or {}
    if not isinstance(section, dict):
        raise UserError(
            f"{path}: section {verb!r} must hold options, such as `{verb}: {{seed: 0}}`."
        )
    try:
        return json.dumps(section, default=str)  # str: YAML has dates, no option has
    except (ValueError, RecursionError):
        raise UserError(f"{path}: section {verb!r} contains itself.") from None


def _no_verb(argv: list[str]) -> int:
    width = max(map(len, VERBS))
    listed = "\n".join(f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="lrmovienet",
        usage="lrmovienet VERB --workspace DIR [--config FILE.yaml] [options]",
        description="Films in, a label relevance ranking benchmark out.",
        epilog=f"verbs, in the order in which the data flows:\n{listed}\n\n"
        "`lrmovienet VERB --help` lists a verb's options; `--print_config` prints what would run.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"lrmovienet {__version__}")
    if argv[:1] and argv[0] in GROUPS and argv[1:2] in (["-h"], ["--help"]):
        del argv[0]
    if argv and not argv[0].startswith("-"):
        import difflib

        second = argv[0] in GROUPS and not "".join(argv[1:2]).startswith("-")
        verb = " ".join(argv[: 1 + second])
        close = difflib.get_close_matches(verb, VERBS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        verbs = [name for name in VERBS if argv[0] not in GROUPS or name.split()[0] == argv[0]]
        return _fail("", f"no verb {verb!r}.{hint} Verbs: {', '.join(verbs)}.")
    parser.parse_args(argv or ["--help"])
    return 2


def _what_to_install(error: ModuleNotFoundError) -> str:
    """A missing package -> the command that installs it; a missing module of ours is a bug."""
    name = (error.name or "").split(".")[0]
    if name in ("", "lrmovienet", "annotation", "baselines", "eval"):
        raise error
    how = "pip install -e '.[demo]'"
    if name in ("label_studio_sdk", "crowdkit", "markdown_it"):
        how = "pip install -e '.[annotate]'"
    if name in ("h5py", "huggingface_hub", "jinja2", "scipy"):
        how = "pip install -e '.[release]'"
    if name == "lightgbm":
        how = "pip install -e '.[train]'"
    if name == "tensorboard":
        how = "pip install -e '.[tensorboard]'"
    if name == "llama_cpp":
        how = (
            'CMAKE_ARGS="-DGGML_NATIVE=OFF -DLLAVA_BUILD=OFF" pip install --no-cache-dir -e '
            "'.[llm]' (it compiles for some minutes; docs/candidates.md)"
        )
    return f"needs the package {name!r}, which is not installed. Install: {how}"


def _fail(verb: str, message: str) -> int:
    if not is_first():
        # Most failures are those of the first process too. Once it has said so, torchrun ends this.
        time.sleep(SILENCE_S)
    heading = f"lrmovienet {verb}: error: ".replace(" :", ":")
    sys.stderr.write(f"{heading}{printable(message)}\n")
    return 2


def entry() -> None:
    """The console script: leave quietly when the reader of our output has gone (``| head``)."""
    leave(main)
