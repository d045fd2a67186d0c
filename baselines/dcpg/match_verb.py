"""`lrmovienet match`: image-text matching with DCPG, trained and evaluated as published."""

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from baselines.dcpg.verb import given, require_heads, require_sane
from baselines.train import is_whole, require_name, require_seed, say
from lrmovienet import __version__
from lrmovienet.config import VerbConfig
from lrmovienet.errors import UserError
from lrmovienet.files import HashCache, sha256_file, sha256_of, write_json
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from baselines.dcpg.captions import Captioned
    from baselines.dcpg.matching import Matcher, MatchingConfig

MATCHING_VERSION = 1
"""Raised when the same data and options would give another network."""
PAPER: dict[str, Any] = {"epochs": 30, "pairs_a_step": 128, "least_count": 4, "policy_weight": 1.0}
PAPER_NETWORK: dict[str, Any] = {"dim": 2048, "graph_layers": 4}
NETWORK = ("mode", "log_probability", "scale", "heads", "actions", "temperature", "dim")
"""Options of the network."""
TRAINING = (
    "reward", "policy_weight", "beta", "margin", "instance_weight", "decoding_weight", "epochs",
    "pairs_a_step", "least_count",
)  # fmt: skip
"""Options of its training."""


@dataclass(frozen=True)
class MatchConfig(VerbConfig):
    """Options of `lrmovienet match`."""

    data: Path | None = None
    """Folder of {train,dev,test}_ims.npy and _caps.txt. Default: the workspace's own clips."""
    features: Path | None = None
    """Folder of a feature store, without --data. Default: the workspace's own."""
    name: str = "dcpg"
    """Folder of the result, under <workspace>/matching/."""
    preset: Literal["small", "paper"] = "small"
    """Dimensions and numbers for a CPU, or those of the paper (a GPU, hours)."""
    mode: Literal["both", "discrete", "continuous", "soft", "uniform", "none"] | None = None
    """Attention: the paper's, one of its halves, softmax, all weights 1, or mean pooling."""
    log_probability: Literal["fixed", "official"] | None = None
    """Density of the draw that was used, or of another draw, as in the released code."""
    reward: Literal["r1+ap", "ap", "r1"] | None = None
    """What attention is rewarded for (Eq. 9), instead of R@1 + AP."""
    scale: float | None = None
    """Lambda of Eqs. 11 and 12, above 0, instead of 20."""
    heads: int | None = None
    """Attention weights an item, instead of 2; must divide 300 and the dimension."""
    actions: int | None = None
    """n, discrete actions, instead of 100."""
    temperature: float | None = None
    """Of the Gumbel-softmax, above 0, instead of 1."""
    policy_weight: float | None = None
    """Weight of the policy gradient, instead of the preset's; 0 for none."""
    beta: float | None = None
    """Share of the rewards' leave-one-out baseline, instead of 0.5."""
    margin: float | None = None
    """Margin of the triplet loss, instead of 0.2."""
    instance_weight: float | None = None
    """Weight of the instance loss, instead of 1; 0 for none."""
    decoding_weight: float | None = None
    """Weight of the text decoding losses, instead of 1; 0 for none."""
    dim: int | None = None
    """Numbers of a vector, instead of the preset's."""
    epochs: int | None = None
    """Times through the captions, instead of 30."""
    pairs_a_step: int | None = None
    """Captions with their images a step, instead of the preset's."""
    least_count: int | None = None
    """How often a word must stand in the training captions, instead of the preset's."""
    learning_rate: float | None = None
    """Learning rate of the first half of training, instead of 4e-4."""
    folds: int = 1
    """Equal parts of the test images whose recalls are averaged; COCO 1K: 5."""
    seed: int = 0
    """Seed of everything random in training; 0 or more."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the network is trained and evaluated."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Numbers of the large layers; densities and losses are in fp32 always."""
    threads: int = 1
    """CPU threads of a step. Another number can change the last bits."""


def run(config: MatchConfig) -> None:
    """Train a network, or find the one that is there, and print its recalls on the test split.

    Raises:
        UserError: data is missing or does not fit, an option is wrong, or training diverges.
    """
    from baselines.dcpg.captions import vocabulary
    from baselines.dcpg.matching import Matcher
    from baselines.learning.machine import options_of

    training = _training(config)
    workspace = Workspace(config.workspace)
    data, inputs = _data(config, workspace)
    _require_fitting(config, data)
    words = vocabulary(data["train"].captions, training.least_count)
    image = data["train"].images[0]
    network = replace(
        training.network, words=4 + len(words), image_dim=image.shape[1], **given(config, NETWORK)
    )
    require_heads(config, network.dim)
    require_heads(config, network.word_dim)
    training = replace(training, network=network)
    made_from = {
        "matching_version": MATCHING_VERSION, "options": options_of(training), "inputs": inputs,
        "folds": config.folds,
    }  # fmt: skip
    key, place = sha256_of(made_from), f"matching/{config.name}"
    with workspace.locked_for(place):
        if is_whole(workspace.root / place, key):
            say(f"{place}: up to date")
        else:
            building = workspace.root / ".building" / "matching" / config.name
            working = building / key
            for other in building.iterdir() if building.exists() else ():
                if other != working:  # the state of another training
                    shutil.rmtree(other)
            working.mkdir(parents=True, exist_ok=True)
            matcher = Matcher(training, words)
            matcher.fit(data["train"], data["dev"], working)
            _put(workspace, place, matcher, data, config.folds, {**made_from, "key": key})
            shutil.rmtree(building)
    _print(workspace.root / place)


def _training(config: MatchConfig) -> "MatchingConfig":
    """What the options say, but for what is taken from the data."""
    from baselines.dcpg.matching import MatchingConfig
    from baselines.learning.machine import Machine
    from lrmovienet.encoders import require_device

    require_name(config.name)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UserError("match: negatives are those of a whole batch. Run it in one process.")
    require_sane(config, (*NETWORK, *TRAINING, "learning_rate", "folds", "threads"))
    require_seed(config.seed)
    require_device(config.device)
    usual = MatchingConfig()
    if config.preset == "paper":
        usual = replace(usual, **PAPER, network=replace(usual.network, **PAPER_NETWORK))
    machine = Machine(config.seed, config.device, config.precision, config.threads)
    rate = replace(usual.optimisation, **given(config, ("learning_rate",)))
    return replace(usual, machine=machine, optimisation=rate, **given(config, TRAINING))


def _data(
    config: MatchConfig, workspace: Workspace
) -> "tuple[dict[str, Captioned], dict[str, str]]":
    """The splits, and hashes of what they were read from."""
    from baselines.dcpg.captions import files_of, from_folder, from_workspace
    from baselines.prepare import open_features, require_features

    if config.data is not None:
        data = from_folder(config.data)
        cache = HashCache(workspace.root / ".building" / "matching.hashes.json")
        return data, {path.name: cache.sha256(path) for path in files_of(config.data)}
    inputs = {table: workspace.require(table).digest for table in ("clips", "records")}
    store = open_features(workspace, config.features)
    require_features(store, workspace, ("source_train", "target_dev", "target_test"))
    return from_workspace(workspace, store), {**inputs, "features": store.digest}


def _require_fitting(config: MatchConfig, data: "dict[str, Captioned]") -> None:
    """Refuse splits of different dimensions, and folds that do not come out even."""
    dims = {split: one.images[0].shape[1] for split, one in data.items()}
    if len(set(dims.values())) > 1:
        raise UserError(f"--data {config.data}: regions differ in dimension: {dims}.")
    images = len(data["test"].images)
    if images % config.folds:
        raise UserError(f"--folds {config.folds}: {images} test images do not come apart evenly.")


def _put(
    workspace: Workspace, place: str, matcher: "Matcher", data: "dict[str, Captioned]", folds: int,
    manifest: dict[str, Any],
) -> None:  # fmt: skip
    """Evaluate on the test split, and put network and figures in place."""
    from baselines.dcpg.matching import similarities
    from baselines.dcpg.retrieval import in_folds
    from baselines.learning.files import save_model

    assert matcher.model is not None
    test = data["test"]
    machine = matcher.config.machine
    similarity = similarities(matcher.model, machine, test, matcher.words)
    whole = workspace.root / ".building" / "matching" / f".{Path(place).name}.whole"
    shutil.rmtree(whole, ignore_errors=True)
    save_model(whole, matcher.model, matcher.config, matcher.metrics)
    write_json(whole / "vocabulary.json", matcher.words)
    best = max(matcher.metrics, key=lambda entry: float(entry["dev_recall_sum"]))
    sizes = {
        split: {"images": len(one.images), "captions": len(one.captions)}
        for split, one in data.items()
    }
    write_json(
        whole / "metrics.json",
        {
            "test": in_folds(similarity, test.image_of, folds), "folds": folds,
            "dev": {k.removeprefix("dev_"): v for k, v in best.items() if k.startswith("dev_")},
            "epoch": best["epoch"], "sizes": sizes,
        },
    )  # fmt: skip
    files = {path.name: sha256_file(path) for path in sorted(whole.iterdir())}
    manifest = {**manifest, "files": files, "code_version": __version__}
    write_json(whole / "manifest.json", manifest)
    workspace.put_in_place(whole, place)


def _print(folder: Path) -> None:
    import json

    metrics = json.loads((folder / "metrics.json").read_bytes())
    say(f"{folder}: {metrics['sizes']['test']['images']} test images, epoch {metrics['epoch']}")
    for name, words in (("caption", "caption retrieval"), ("image", "image retrieval")):
        found = "/".join(f"{metrics['test'][f'{name}_r@{k}']:.1f}" for k in (1, 5, 10))
        say(f"{words} R@1/5/10: {found}")
