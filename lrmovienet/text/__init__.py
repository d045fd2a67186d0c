"""`lrmovienet extract`: scene descriptions -> event and entity labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from lrmovienet.config import StageConfig
from lrmovienet.errors import UserError, shorten
from lrmovienet.files import sha256_of
from lrmovienet.runner import Columns, split
from lrmovienet.runner.local import Job, run_table
from lrmovienet.text import parse
from lrmovienet.text.prompts import KINDS, PROMPTS, fit, one_line
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from lrmovienet.text.transformers import Continuation


@dataclass(frozen=True)
class ExtractConfig(StageConfig):
    """Options of `lrmovienet extract`."""

    model: Path | None = None
    """Folder of a language model in the Hugging Face layout, or a .gguf file. Without it, the
    packaged SmolLM2-135M: it shows that everything runs, not what good labels are."""
    prompt: Literal["fewshot-1", "paper-1"] = "fewshot-1"
    """The paper's prompts word for word (paper-1, for models that follow instructions) or examples
    to go on with (fewshot-1, for small models)."""
    require_evidence: bool = True
    """Drop labels with a word that does not occur in the description."""
    max_words: int = 300
    """Longer descriptions are cut behind the last sentence that fits."""
    max_new_tokens: int = 96
    """Longest answer, in tokens."""
    batch_size: int = 8
    """Prompts a batch of the language model."""
    device: str = "cpu"
    """Where the language model runs: cpu or cuda."""


def run(config: ExtractConfig) -> None:
    """Make the table text_labels.

    Raises:
        UserError: there are no clips yet, an option is out of range, or the model is not there.
    """
    for name in ("max_words", "max_new_tokens", "batch_size"):
        if getattr(config, name) < 1:
            raise UserError(f"--{name} {getattr(config, name)}: give 1 or more.")
    from lrmovienet.text.transformers import (
        PACKAGED,
        TransformersGenerator,
        identify,
        packaged_model,
    )

    workspace = Workspace(config.workspace)
    clips = workspace.require("clips")
    path = config.model or packaged_model()
    name, weights = identify(path)
    name = name if config.model else PACKAGED
    prompt = PROMPTS[config.prompt]
    rows = workspace.read("clips", ["clip_id", "description"]).to_pydict()
    options = {
        "prompt": config.prompt,
        "require_evidence": config.require_evidence,
        "max_words": config.max_words,
        "max_new_tokens": config.max_new_tokens,
        "batch_size": config.batch_size,
        "device": config.device,
    }
    job = Job(
        table="text_labels",
        stage=LabelExtractor(
            generate=TransformersGenerator(
                path, config.max_new_tokens, config.batch_size, config.device
            ),
            generator=name,
            prompt_version=prompt.version,
            require_evidence=config.require_evidence,
            max_words=config.max_words,
            made_from=sha256_of([options, weights, prompt.event, prompt.entity]),
        ),
        shards=split(rows, config.shard_size),
        item="clip_id",
        inputs={"clips": clips.digest},
        config=options,
        models={name: weights},
        prompts={f"{prompt.version}/{kind}": prompt.text(kind, "{sentence}") for kind in KINDS},
        processes=config.processes,
        fail_fast=config.fail_fast,
    )
    Console().print(str(run_table(workspace, job)))


@dataclass(frozen=True)
class LabelExtractor:
    """Stage: clip_id, description -> clip_id, label, kind, generator, prompt_version, rank.

    `rank` is the label's place in the model's answer, from 0; places of dropped labels stay empty.
    """

    generate: "Callable[[Sequence[str], Sequence[str]], list[Continuation]]"
    """Prompts and stop strings -> one continuation a prompt."""
    generator: str
    prompt_version: str
    require_evidence: bool = True
    max_words: int = 300
    made_from: str = field(default="", repr=False)
    """Hash of the model, the prompts and all options."""

    @property
    def version(self) -> str:
        """Changes with the options, the prompts and the weights."""
        return f"text-1:{self.made_from[:16]}"

    def __call__(self, batch: Columns) -> Columns:
        """Raises ItemError for a clip whose prompt is too long for the model."""
        prompt = PROMPTS[self.prompt_version]
        sentences, rows = [], list[dict[str, Any]]()
        for clip_id, description in zip(batch["clip_id"], batch["description"], strict=True):
            sentence, left_out = fit(one_line(description), self.max_words)
            sentences.append(sentence)
            if left_out:
                reason = f"the last {left_out} words of the description were not shown to the model"
                rows.append({"clip_id": clip_id, "drop_reason": reason})
        for kind in KINDS:
            texts = [prompt.text(kind, sentence) for sentence in sentences]
            written = self.generate(texts, prompt.stop)
            for clip_id, sentence, continuation in zip(
                batch["clip_id"], sentences, written, strict=True
            ):
                answer, complete = prompt.finish(continuation.text, continuation.ended)
                rows += self._labels(clip_id, kind, sentence, answer, complete)
        names = ("clip_id", "label", "kind", "generator", "prompt_version", "rank", "drop_reason")
        return {name: [row.get(name) for row in rows] for name in names}

    def _labels(
        self, clip_id: str, kind: str, sentence: str, answer: str, complete: bool
    ) -> list[dict[str, Any]]:
        labels = parse.screen(
            parse.parse(answer, complete), sentence if self.require_evidence else None
        )
        rows = [
            {
                "clip_id": clip_id,
                "label": label.text,
                "kind": kind,
                "generator": self.generator,
                "prompt_version": self.prompt_version,
                "rank": label.rank,
                "drop_reason": f"{kind}: {label.reason}" if label.reason else None,
            }
            for label in labels
        ]
        if all(label.reason for label in labels):
            why = "none of the answer's labels was kept" if labels else "the answer holds no label"
            reason = f"no {kind} label: {why}; the answer: {shorten(answer.strip())}"
            rows.append({"clip_id": clip_id, "drop_reason": reason})
        return rows
