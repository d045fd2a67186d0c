"""R@K of image-text matching, in both directions (section 4.1)."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
KS = (1, 5, 10)


def recalls(similarity: Floats, image_of: Ints) -> dict[str, float]:
    """Recall at K in percent, and the sum of all six.

    ``caption_r@K``: the share of images that have one of their captions among the K nearest;
    ``image_r@K``: the share of captions whose image is among the K nearest. Of equal similarities
    the wrong item stands first, so that a network that says the same of all pairs recalls nothing.

    Args:
        similarity: (n_images, n_captions)
        image_of: (n_captions,) the image that a caption is of; every image has one at least.

    Raises:
        ValueError: shapes do not fit, a similarity is not a number, or an image has no caption.
    """
    if similarity.shape[1:] != image_of.shape or np.isnan(similarity).any():
        raise ValueError("similarities must be numbers, one a caption and image")
    found: dict[str, float] = {}
    for name, places in (
        ("caption", ranks(similarity, _own(similarity, image_of))),
        ("image", ranks(similarity.T, _own(similarity, image_of).T)),
    ):
        found |= {f"{name}_r@{k}": 100.0 * float((places <= k).mean()) for k in KS}
    return {**found, "recall_sum": sum(found.values())}


def ranks(similarity: Floats, right: npt.NDArray[np.bool_]) -> Ints:
    """The rank of each query's best right item: 1 + wrong items that are not below it.

    Args:
        similarity: (q, n)
        right: (q, n) at least one a query.

    Raises:
        ValueError: a query has no right item.
    """
    if not right.any(1).all():
        raise ValueError("a query has no right item")
    best = np.where(right, similarity, -np.inf).max(1, keepdims=True)
    above: Ints = 1 + ((similarity >= best) & ~right).sum(1)
    return above


def in_folds(similarity: Floats, image_of: Ints, folds: int) -> dict[str, float]:
    """Mean recalls over equal runs of images, each with its own captions (COCO 1K: 5 folds).

    Raises:
        ValueError: the images do not come apart into so many equal runs.
    """
    size, left = divmod(len(similarity), folds)
    if left or not size:
        raise ValueError(f"{len(similarity)} images do not come apart into {folds} equal folds")
    found = []
    for start in range(0, len(similarity), size):
        within = (image_of >= start) & (image_of < start + size)
        part = similarity[start : start + size][:, within]
        found.append(recalls(part, image_of[within] - start))
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def _own(similarity: Floats, image_of: Ints) -> npt.NDArray[np.bool_]:
    own: npt.NDArray[np.bool_] = np.arange(len(similarity))[:, None] == image_of
    return own
