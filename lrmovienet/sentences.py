"""Short texts -> vectors, to tell how near two of them are in meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lrmovienet.encoders import each_on_a_core, hash_model, load_text_model, packaged_text_model
from lrmovienet.errors import UserError

BATCH = 64


@dataclass(frozen=True)
class SentenceEncoder:
    """The mean of a transformer's last hidden states over a text's tokens, of length one.

    This is how sentence-transformers' models, MiniLM among them, were trained (Reimers and
    Gurevych, *Sentence-BERT*, EMNLP 2019).
    """

    folder: Path
    """A folder in the Hugging Face layout."""
    device: str = "cpu"

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Sha256 of the model's files, and how vectors are made."""
        return {"sha256": hash_model(self.folder, "text_model"), "pooling": "mean-1"}

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(n_texts, dim). Raises UserError where the model cannot be loaded."""
        import torch

        tokenizer, model = self._loaded
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]

        def forward(batch: Sequence[str]) -> npt.NDArray[np.float32]:
            inputs = tokenizer(
                list(batch), padding=True, truncation=True, max_length=64, return_tensors="pt"
            ).to(self.device)
            mask = inputs["attention_mask"][..., None]
            with torch.inference_mode():
                hidden = model(**inputs).last_hidden_state
            mean = (hidden * mask).sum(1) / mask.sum(1)
            vectors: npt.NDArray[np.float32] = (
                (mean / mean.norm(dim=-1, keepdim=True).clamp_min(1e-12)).float().cpu().numpy()
            )
            if not np.isfinite(vectors).all():
                raise UserError(f"{self.folder}: gives vectors that are no numbers. Give another.")
            return vectors

        return np.concatenate(each_on_a_core(forward, batches, self.device))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        tokenizer, model = load_text_model(self.folder, self.device)
        if tokenizer.pad_token_id is None or model.config.is_encoder_decoder:
            raise UserError(
                f"{self.folder}: a text encoder with a padding token is needed, such as BERT or "
                "RoBERTa."
            )
        return tokenizer, model


def sentence_encoder(folder: Path | None) -> SentenceEncoder:
    """The encoder in `folder`, or the packaged MiniLM. Raises UserError where it is not there."""
    return SentenceEncoder(folder or packaged_text_model())
