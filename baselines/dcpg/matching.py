"""DCPG as published: image-text matching (Yan et al., CVPR 2021, sections 3 and 4)."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from baselines.dcpg.attention import AttentionConfig
from baselines.dcpg.captions import Captioned, numbers_of
from baselines.dcpg.decoder import CaptionDecoder, decoding_loss
from baselines.dcpg.learner import ADAM, TwoRates
from baselines.dcpg.losses import (
    MatchingReward,
    hardest_triplet,
    instance_loss,
    matching_rewards,
    policy_loss,
)
from baselines.dcpg.retrieval import Floats, Ints, recalls
from baselines.dcpg.towers import Embedded, GraphReasoning, Tower, entrance, padded, unit
from baselines.learning.loop import Run, by_epochs
from baselines.learning.machine import Machine, Optimisation, options_of
from baselines.learning.parallel import World
from baselines.learning.running import autocast, parts, reproducible, seed_of
from lrmovienet.errors import UserError
from lrmovienet.files import sha256_of

STAGE = 21
"""A part of every seed."""
AT_ONCE = 128
"""Images or captions embedded together in evaluation."""


@dataclass(frozen=True)
class MatchingNetworkConfig(AttentionConfig):
    """Dimensions of the network, and its attention. The defaults are for a CPU."""

    words: int = 4
    """Numbers of words there are. Training takes it from the captions."""
    image_dim: int = 2048
    """Of a region. Training takes it from the images."""
    word_dim: int = 300
    """Of a word, trained from random vectors. Paper: 300."""
    dim: int = 256
    """Of regions, states and vectors. Paper: 2048."""
    graph_layers: int = 1
    """Layers of graph reasoning over regions. VSRN, and so the paper: 4."""


@dataclass(frozen=True)
class MatchingConfig:
    """Options of a training."""

    network: MatchingNetworkConfig = field(default_factory=MatchingNetworkConfig)
    optimisation: Optimisation = ADAM
    machine: Machine = field(default_factory=Machine)
    epochs: int = 30
    """Times through the captions; the paper's number."""
    pairs_a_step: int = 32
    """Captions with their images a step. Paper: 128."""
    least_count: int = 1
    """How often a word has to stand in the training captions to be known."""
    margin: float = 0.2
    """α of Eq. 14."""
    reward: MatchingReward = "r1+ap"
    """R of Eq. 9, or one part of it."""
    beta: float = 0.5
    """Share of the leave-one-out baseline (Eq. 10)."""
    policy_weight: float = 0.1
    """Of the four policy losses of Eq. 13. Paper: 1."""
    instance_weight: float = 1.0
    """Of the instance loss of Eq. 13."""
    decoding_weight: float = 1.0
    """Of the two text decoding losses of Eq. 13."""


class Step(NamedTuple):
    """Captions and the images they are of."""

    images: Tensor
    """(b, t, image_dim)"""
    image_mask: Tensor
    """(b, t)"""
    words: Tensor
    """(b, u)"""
    word_mask: Tensor
    """(b, u)"""
    image_of: Tensor
    """(b,)"""


class MatchingNetwork(nn.Module):
    """One tower for images and one for captions."""

    config_class = MatchingNetworkConfig

    def __init__(self, config: MatchingNetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.image_in = entrance(config.image_dim, config.dim)
        layers = [GraphReasoning(config.dim) for _ in range(config.graph_layers)]
        self.graph = nn.ModuleList(layers)
        self.image = Tower(config.dim, config.dim, config)
        self.words = nn.Embedding(config.words, config.word_dim)
        nn.init.uniform_(self.words.weight, -0.1, 0.1)
        self.caption = Tower(config.word_dim, config.dim, config)

    def images(self, images: Tensor, mask: Tensor) -> Embedded:
        """(b, t, image_dim) regions and (b, t) mask to vectors."""
        items = self.image_in(images.float())
        for layer in self.graph:
            items = layer(items, mask)
        embedded: Embedded = self.image(unit(items), mask)
        return embedded

    def captions(self, words: Tensor, mask: Tensor) -> Embedded:
        """(b, u) word numbers and (b, u) mask to vectors."""
        embedded: Embedded = self.caption(self.words(words), mask)
        return embedded


class Trained(nn.Module):
    """The network, and what only training needs."""

    def __init__(self, network: MatchingNetwork, instances: int) -> None:
        super().__init__()
        dim = network.config.dim
        self.network = network
        self.classifier = nn.Linear(dim, instances)
        """Shared between images and captions (section 3.4)."""
        self.log_sharpness = nn.Parameter(torch.tensor(10.0).log())
        """Vectors have length 1; by this they are multiplied before they are classified."""
        self.decoder = CaptionDecoder(network.config.words, dim)
        """Shared between images and captions (section 3.4)."""


class Matcher:
    """A trained network with its words."""

    def __init__(self, config: MatchingConfig, words: dict[str, int]) -> None:
        """`words` as `captions.vocabulary` makes them of the training captions."""
        self.config, self.words = config, words
        self.model: MatchingNetwork | None = None
        self.metrics: list[dict[str, Any]] = []
        """One entry an epoch."""

    def fit(self, train: Captioned, dev: Captioned, working: Path) -> None:
        """Train, and keep the weights of the epoch with the highest sum of recalls on `dev`.

        `working` holds the state; a run that finds it goes on and ends with the same bytes.

        Raises:
            UserError: training diverges.
        """
        with reproducible(self.config.machine):
            self._fit(train, dev, working)

    def _fit(self, train: Captioned, dev: Captioned, working: Path) -> None:
        config, machine, world = self.config, self.config.machine, World()
        torch.manual_seed(seed_of(machine.seed, STAGE))
        network = MatchingNetwork(config.network)
        model = Trained(network, len(train.images)).to(machine.device)
        an_epoch = math.ceil(len(train.captions) / config.pairs_a_step)
        steps = config.epochs * an_epoch
        learner = TwoRates(model, config.optimisation, steps, world, "matching")
        made_from = sha256_of(
            [
                options_of(config),
                self.words,
                [[s.captions, s.image_of.tolist()] for s in (train, dev)],
            ]
        )
        run = Run(working, made_from, learner, network)

        @lru_cache(maxsize=1)
        def order(epoch: int) -> Ints:
            draw = np.random.default_rng([machine.seed, STAGE, epoch])
            return draw.permutation(len(train.captions))

        def make(step: int) -> Step:
            epoch, index = divmod(step, an_epoch)
            start = index * config.pairs_a_step
            return self._step(train, order(epoch)[start : start + config.pairs_a_step])

        def measure(sums: dict[str, float]) -> tuple[dict[str, float], float]:
            found = recalls(similarities(network, machine, dev, self.words), dev.image_of)
            means = {name: total / an_epoch for name, total in sums.items()}
            return {**means, **{f"dev_{k}": v for k, v in found.items()}}, found["recall_sum"]

        losses = partial(self._losses, model, run)
        by_epochs(run, machine, STAGE, an_epoch, make, losses, measure)
        self.model, self.metrics = network, run.metrics

    def _step(self, data: Captioned, chosen: Ints) -> Step:
        image_of = data.image_of[chosen]
        return Step(
            *_regions([data.images[i] for i in image_of]),
            *_words([data.captions[i] for i in chosen], self.words),
            torch.from_numpy(image_of),
        )

    def _losses(self, model: Trained, run: Run, step: Step) -> Iterator[Tensor]:
        """Eq. 13."""
        config, machine = self.config, self.config.machine
        images, image_mask, words, word_mask, image_of = (x.to(machine.device) for x in step)
        with autocast(machine):
            image = model.network.images(images, image_mask)
            caption = model.network.captions(words, word_mask)
        pictures, texts = unit(image.vectors), unit(caption.vectors)
        similarity = pictures @ texts.T
        own = image_of[:, None] == image_of
        triplet = hardest_triplet(similarity, ~own, config.margin)
        policy, reward = self._policy(image, caption, similarity, own)
        run.add(triplet=triplet.item(), reward=reward)
        loss = triplet + config.policy_weight * policy
        both = torch.cat([pictures, texts])
        if config.instance_weight:
            logits = model.classifier(both * model.log_sharpness.exp())
            # The paper adds the branches' means; this is the mean over both.
            instance = 2 * instance_loss(logits, torch.cat([image_of, image_of]))
            run.add(instance=instance.item())
            loss = loss + config.instance_weight * instance
        if config.decoding_weight:
            with autocast(machine):
                logits = model.decoder(both, torch.cat([words, words]))
            # Both branches have the same captions, so that the mean over all is that of each.
            decoding = 2 * decoding_loss(
                logits, torch.cat([words, words]), torch.cat([word_mask, word_mask])
            )
            run.add(decoding=decoding.item())
            loss = loss + config.decoding_weight * decoding
        yield loss

    def _policy(
        self, image: Embedded, caption: Embedded, similarity: Tensor, own: Tensor
    ) -> tuple[Tensor, float]:
        """The four policy losses of Eq. 13, and the mean reward of a query.

        An image's attention earns what the image finds among the captions; a caption's, what the
        caption finds among the images.
        """
        config, scores = self.config, _numbers(similarity)
        right = own.cpu().numpy()
        total, earned = similarity.sum() * 0, 0.0
        for embedded, gallery in ((image, scores), (caption, scores.T)):
            rewards = matching_rewards(gallery, right, config.reward)
            earned += float(rewards.mean()) / 2
            for log_probability in (embedded.discrete, embedded.continuous):
                total = total + policy_loss(log_probability, rewards, config.beta)
        return total, earned


def similarities(
    network: MatchingNetwork, machine: Machine, data: Captioned, words: dict[str, int]
) -> Floats:
    """(n_images, n_captions) cosines, without any draw."""
    network.eval()

    def all_of(
        items: Sequence[Any], embed: Callable[[Tensor, Tensor], Embedded], make: Callable[..., Any]
    ) -> Tensor:
        found = []
        for run in parts(items, AT_ONCE):
            x, mask = make(run)
            with autocast(machine):
                vectors = embed(x.to(machine.device), mask.to(machine.device)).vectors
            found.append(unit(vectors))
        return torch.cat(found)

    with torch.inference_mode():
        pictures = all_of(data.images, network.images, _regions)
        texts = all_of(data.captions, network.captions, partial(_words, words=words))
        return _numbers(pictures @ texts.T)


def _regions(images: Sequence[npt.NDArray[Any]]) -> tuple[Tensor, Tensor]:
    # A copy: what is on disk is mapped into memory and cannot be written to.
    return padded([torch.from_numpy(np.array(image)) for image in images])


def _words(captions: Sequence[str], words: dict[str, int]) -> tuple[Tensor, Tensor]:
    return padded([torch.tensor(numbers_of(caption, words)) for caption in captions])


def _numbers(similarity: Tensor) -> Floats:
    numbers: Floats = similarity.detach().double().cpu().numpy()
    if not np.isfinite(numbers).all():
        raise UserError("matching: similarities are no numbers. Try a lower --learning_rate.")
    return numbers
