"""The stage that reads a language model's answers."""

from dataclasses import dataclass, field
from typing import Any

from lrmovienet.errors import ItemError, shorten
from lrmovienet.runner import Columns
from lrmovienet.text import parse
from lrmovienet.text.prompts import KINDS


@dataclass(frozen=True)
class Answer:
    """A whole answer about one clip: what the model was made to begin with, and how it went on."""

    text: str
    complete: bool
    """Whether it came to its end."""
    first: str | None = None
    """The first answer, where it held no label and the model was asked once more."""
    failure: str | None = None
    """Why there is no answer."""


@dataclass(frozen=True)
class LabelReader:
    """Stage: clip_id, sentence, left_out, event, entity -> the rows of text_labels.

    `sentence` is what the model was shown of the description, `left_out` the number of words that
    it was not; event and entity are each an `Answer` as a dict. A label's `rank` is its place in
    the answer, from 0; places of dropped labels stay empty.
    """

    generator: str
    prompt_version: str
    require_evidence: bool = True
    made_from: str = field(default="", repr=False)
    """Hash of the model and the prompts."""

    @property
    def version(self) -> str:
        """Changes with the model, the prompts and the option."""
        return f"text-2:{self.made_from[:16]}:{'evidence' if self.require_evidence else 'any'}"

    def __call__(self, batch: Columns) -> Columns:
        """Raises ItemError for a clip without an answer."""
        rows: list[dict[str, Any]] = []
        for i, clip_id in enumerate(batch["clip_id"]):
            if batch["left_out"][i]:
                reason = (
                    f"the last {batch['left_out'][i]} words of the description were not shown to "
                    "the model"
                )
                rows.append({"clip_id": clip_id, "drop_reason": reason})
            for kind in KINDS:
                answer = Answer(**batch[kind][i])
                if answer.failure is not None:
                    raise ItemError(
                        f"{clip_id}: no answer about its {kind} labels: {answer.failure}"
                    )
                rows += self._labels(clip_id, kind, batch["sentence"][i], answer)
        names = ("clip_id", "label", "kind", "generator", "prompt_version", "rank", "drop_reason")
        return {name: [row.get(name) for row in rows] for name in names}

    def _labels(
        self, clip_id: str, kind: str, sentence: str, answer: Answer
    ) -> list[dict[str, Any]]:
        labels = parse.screen(
            parse.parse(answer.text, answer.complete), sentence if self.require_evidence else None
        )
        rows: list[dict[str, Any]] = []
        if answer.first is not None:
            reason = f"{kind}: asked once more, the first answer held no label"
            rows.append({"clip_id": clip_id, "drop_reason": f"{reason}: {shorten(answer.first)}"})
        rows += [
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
            reason = f"no {kind} label: {why}; the answer: {shorten(answer.text.strip())}"
            rows.append({"clip_id": clip_id, "drop_reason": reason})
        return rows
