"""The captioner of the text decoding losses: convolutions in the place of a recurrence.

After Aneja et al., "Convolutional Image Captioning" (CVPR 2018), without its attention over image
regions: what is to be decoded is one vector.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from baselines.dcpg.captions import PADDING, START


class CaptionDecoder(nn.Module):
    """A vector and the words so far -> the next word, at all places of a caption at once."""

    def __init__(self, words: int, dim: int, layers: int = 3, kernel: int = 5) -> None:
        """Make a decoder of `words` words from vectors of `dim` numbers."""
        super().__init__()
        self.kernel = kernel
        self.words = nn.Embedding(words, dim, padding_idx=PADDING)
        self.vector = nn.Linear(dim, dim)
        self.layers = nn.ModuleList(nn.Conv1d(dim, 2 * dim, kernel) for _ in range(layers))
        self.out = nn.Linear(dim, words)

    def forward(self, vectors: Tensor, captions: Tensor) -> Tensor:
        """(b, dim) vectors and (b, t) word numbers to (b, t, words) logits of those same words.

        The logits at a place have seen the words before it, and not the word itself.
        """
        start = torch.full_like(captions[:, :1], START)
        before = torch.cat([start, captions[:, :-1]], 1)
        x = (self.words(before) + self.vector(vectors)[:, None]).transpose(1, 2)
        for layer in self.layers:
            # Padded in front alone: no place sees what is behind it.
            x = x + functional.glu(layer(functional.pad(x, (self.kernel - 1, 0))), 1)
        logits: Tensor = self.out(x.transpose(1, 2))
        return logits


def decoding_loss(logits: Tensor, captions: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy of the next word, the mean over all words of a batch.

    (b, t, words) logits, (b, t) word numbers, (b, t) mask to a scalar.
    """
    return functional.cross_entropy(logits[mask].float(), captions[mask])
