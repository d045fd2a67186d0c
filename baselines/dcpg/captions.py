"""Images with captions: the public layout of region features, or a workspace's own clips.

The layout is that of SCAN and VSRN: ``{split}_ims.npy`` with (n, regions, 2048) features, or with
each image as often as it has captions, and ``{split}_caps.txt`` with five lines an image.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from baselines.data import load_records
from lrmovienet.errors import UserError
from lrmovienet.workspace import Workspace

if TYPE_CHECKING:
    from lrmovienet.features import FeatureStore

AN_IMAGE = 5
"""Captions an image in the public layout."""
SPLITS = ("train", "dev", "test")
PADDING, START, END, UNKNOWN = range(4)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Captioned:
    """Images and their captions, of one split."""

    images: Sequence[npt.NDArray[Any]]
    """One of (regions, dim) an image, at least one region each."""
    captions: tuple[str, ...]
    image_of: npt.NDArray[np.int64]
    """(n_captions,) which image a caption is of."""


def from_folder(folder: Path) -> dict[str, Captioned]:
    """The three splits of a folder in the public layout. Images stay on disk until they are read.

    Raises:
        UserError: a file is missing or damaged, or captions and images do not fit together.
    """
    return {split: _split(folder, split) for split in SPLITS}


def files_of(folder: Path) -> list[Path]:
    """All files of the layout."""
    return [folder / f"{split}_{end}" for split in SPLITS for end in ("ims.npy", "caps.txt")]


def _split(folder: Path, split: str) -> Captioned:
    arrays, lines = folder / f"{split}_ims.npy", folder / f"{split}_caps.txt"
    try:
        captions = tuple(lines.read_text(encoding="utf-8").splitlines())
        images = np.load(arrays, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename}: no such file. --data wants a folder with {{train,dev,test}}_ims.npy"
            " and _caps.txt, as SCAN and VSRN publish them."
        ) from None
    except (ValueError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{folder}: {split} is not readable ({error}). Fetch it again.") from None
    if images.ndim != 3 or not np.issubdtype(images.dtype, np.floating) or not images.size:
        raise UserError(f"{arrays}: {images.dtype} of {images.shape}; expected (n, regions, dim).")
    step = AN_IMAGE if _repeated(images, len(captions)) else 1
    rows = len(images) // step
    if len(images) % step or len(captions) != AN_IMAGE * rows:
        raise UserError(
            f"{lines}: {len(captions)} captions of {rows} images; expected {AN_IMAGE} lines an "
            f"image, in the order of {arrays.name}."
        )
    return Captioned(
        [images[i * step] for i in range(rows)], captions, np.arange(len(captions)) // AN_IMAGE
    )


def _repeated(images: npt.NDArray[Any], captions: int) -> bool:
    """Whether each image is there once a caption, as in the public dev and test splits."""
    return len(images) == captions and all(
        np.array_equal(images[i], images[i - i % AN_IMAGE])
        for i in range(min(len(images), 10 * AN_IMAGE))
    )


def from_workspace(workspace: Workspace, store: "FeatureStore") -> dict[str, Captioned]:
    """Clips with their frames as regions and their description as the one caption.

    Train are the clips of source_train that are in neither of the other two, dev those of
    target_dev, test those of target_test.

    Raises:
        UserError: a split or a feature is missing, or no clip is left to train on.
    """
    clips = {}
    for name, split in zip(SPLITS, ("source_train", "target_dev", "target_test"), strict=True):
        records = load_records(workspace, split, store)
        clips[name] = {record.clip_id: record for record in records}
    held = clips["dev"].keys() | clips["test"].keys()
    clips["train"] = {key: one for key, one in clips["train"].items() if key not in held}
    if not clips["train"]:
        raise UserError(
            f"{workspace.folder('records')}: every clip of source_train is in target_dev or "
            "target_test too, so that none is left to train on."
        )
    return {
        name: Captioned(
            [one.frames for one in found.values()],
            tuple(one.description for one in found.values()),
            np.arange(len(found)),
        )
        for name, found in clips.items()
    }


def words_of(caption: str) -> list[str]:
    """The words of a caption, in lower case, without punctuation."""
    return _WORD.findall(caption.lower())


def vocabulary(captions: Iterable[str], least_count: int) -> dict[str, int]:
    """Words that stand at least so often in captions -> their numbers, by alphabet."""
    counts = Counter(word for caption in captions for word in words_of(caption))
    kept = sorted(word for word, count in counts.items() if count >= least_count)
    return {word: i for i, word in enumerate(kept, UNKNOWN + 1)}


def numbers_of(caption: str, words: dict[str, int]) -> list[int]:
    """A caption as the numbers of its words, and the end; unknown words have a number in common."""
    return [*(words.get(word, UNKNOWN) for word in words_of(caption)), END]
