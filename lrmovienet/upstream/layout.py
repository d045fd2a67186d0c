"""What the official LR2PPO code reads, and what we add to it.

::

    first_stage_data.json                the records of source_train, with their grades
    first_second_stage_data.json         the records of target_pairs; every target is 0
    val_data.json, test_data.json        the records of target_dev and of target_test
    first_second_data_pair/first_second_data_pair_{5,10,20,40}pct.json
    clean_feat.h5                        the features

The paper's own evaluation reads val_data.json for choosing a model and for reporting it, and only
asks that test_data.json is there; we keep the two apart.

A JSON file is a list of items, here one a line. An item is one record, a clip in one domain. The
official code reads ``id``, ``tags`` (a list of ``{"tag": label, "target": grade}``), ``filename``,
``description``, ``image`` (the frames) and, in the files of pairs, ``index``: a list of
``[better, worse]``, which are places in ``tags``. It wants a number as ``target`` everywhere, also
where it ignores it. Our own keys stand beside these; none of them is ever null, which PyTorch could
not put into a batch:

===============  ===================================================================================
``clip_id``      the clip; ``id`` is the clip and the domain, for there is one text_emb an id
``domain``       source or target
``movie_id``     the film
``genres``       of the film
``sources``      where each label came from, in the order of ``tags``
``grades``       ``given``, or ``unknown`` where each ``target`` is a 0 that says nothing
``clip``         title, shot, frame, start_s, end_s and frames_sha256 of the clip; those it has
``pairs``        in the files of pairs: ``annotated``, or ``from grades`` for source records
===============  ===================================================================================

In the HDF5 file, ``/{id}/text_emb`` is (n_tags, 196, 768) and ``/{id}/img_emb`` (1, n_frames, 768),
both float32; row j belongs to ``tags[j]``. Texts are padded with zeros to 196 tokens. The attribute
``spans`` of text_emb, (n_tags, 4), keeps the true number of tokens, where the label's tokens begin
and end, and how many tokens of the description were cut off. The file's attributes ``format`` and
``encoders`` say that the file is ours and what made the features; the group ``/lrmovienet`` (no id:
those end with a domain) keeps the manifest of the feature store.
"""

from typing import Any

from eval.messages import LISTED, listed
from lrmovienet.errors import UserError
from lrmovienet.schema import PAIR_PERCENTS

FORMAT = 1
"""Raised when files of this program cannot be read by the one before."""

STAGES = {
    "source_train": "first_stage_data.json",
    "target_pairs": "first_second_stage_data.json",
    "target_dev": "val_data.json",
    "target_test": "test_data.json",
}
"""Split -> the file of its records."""

PAIR_FOLDER = "first_second_data_pair"
PAIRS = {p: f"{PAIR_FOLDER}/first_second_data_pair_{p}pct.json" for p in PAIR_PERCENTS}
"""Percent -> the file of the pairs within it."""

FEATURES = "clean_feat.h5"
OURS = "lrmovienet"
"""The group of the HDF5 file that is no record."""

TOKENS, DIM = 196, 768
"""Tokens a text, and numbers a token or frame: what the official networks are built for."""

GIVEN, UNKNOWN = "given", "unknown"
ANNOTATED, FROM_GRADES = "annotated", "from grades"


def domain_of(split: str) -> str:
    """The domain of a split's records."""
    return "source" if split == "source_train" else "target"


class Problems:
    """What is wrong with files: counted, and the first ten kept."""

    def __init__(self) -> None:
        self.total = 0
        self.lines: list[str] = []

    def add(self, where: str, what: str) -> None:
        """One more thing that is wrong."""
        self.total += 1
        if len(self.lines) < LISTED:
            self.lines.append(f"{where}: {what}")

    def stop(self, heading: str, advice: str) -> None:
        """Raises UserError where there is anything; it lists the first ten."""
        if self.total:
            raise UserError(f"{listed(heading, self.lines, self.total)}\n{advice}")


def without_nothing(values: dict[str, Any]) -> dict[str, Any]:
    """The entries that are not None."""
    return {name: value for name, value in values.items() if value is not None}
