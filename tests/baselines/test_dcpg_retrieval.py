"""R@K, the public layout of images and captions, and a workspace read as one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baselines.dcpg.captions import (
    END,
    UNKNOWN,
    from_folder,
    from_workspace,
    numbers_of,
    vocabulary,
    words_of,
)
from baselines.dcpg.retrieval import in_folds, recalls
from baselines.prepare import open_features
from lrmovienet.errors import UserError


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_recalls_by_brute_force(data):
    images = data.draw(st.integers(1, 5))
    more = data.draw(st.lists(st.integers(0, images - 1), max_size=12))
    image_of = np.array([*range(images), *more])
    shape = (images, len(image_of))
    similarity = data.draw(arrays(float, shape, elements=st.sampled_from([0.0, 0.1, 0.5, 1.0])))
    found = recalls(similarity, image_of)
    for k in (1, 5, 10):
        hits = 0
        for i in range(images):  # sorted so that of equal ones the wrong come first
            order = sorted(range(shape[1]), key=lambda j: (-similarity[i, j], image_of[j] == i))
            hits += any(image_of[j] == i for j in order[:k])
        assert found[f"caption_r@{k}"] == pytest.approx(100 * hits / images)
        hits = 0
        for j in range(shape[1]):
            order = sorted(range(images), key=lambda i: (-similarity[i, j], image_of[j] == i))
            hits += image_of[j] in order[:k]
        assert found[f"image_r@{k}"] == pytest.approx(100 * hits / shape[1])
    parts = [value for name, value in found.items() if name != "recall_sum"]
    assert len(parts) == 6 and found["recall_sum"] == pytest.approx(sum(parts))


def test_recalls_by_hand():
    """Images find a caption 2nd and 1st; captions find their image 1st, 2nd and 1st."""
    similarity = np.array([[0.5, 0.2, 0.9], [0.1, 0.4, 0.95]])
    found = recalls(similarity, np.array([0, 0, 1]))
    assert found["caption_r@1"] == 50 and found["caption_r@5"] == 100
    assert found["image_r@1"] == pytest.approx(200 / 3) and found["image_r@5"] == 100


def test_who_says_the_same_of_all_recalls_nothing():
    assert recalls(np.zeros((20, 20)), np.arange(20))["recall_sum"] == 0


def test_recalls_refuse_what_they_cannot_judge():
    with pytest.raises(ValueError, match="no right item"):
        recalls(np.zeros((2, 2)), np.array([0, 0]))
    for similarity in (np.full((1, 1), np.nan), np.zeros((1, 2))):
        with pytest.raises(ValueError, match="must be numbers"):
            recalls(similarity, np.array([0]))
    with pytest.raises(ValueError, match="3 images do not come apart into 2"):
        in_folds(np.zeros((3, 3)), np.arange(3), 2)


def test_folds_are_runs_of_images_with_their_own_captions():
    rng = np.random.default_rng(0)
    similarity, image_of = rng.normal(size=(6, 12)), np.arange(12) // 2
    first = recalls(similarity[:3, :6], np.arange(6) // 2)
    second = recalls(similarity[3:, 6:], np.arange(6) // 2)
    found = in_folds(similarity, image_of, 2)
    for name, value in found.items():
        assert value == pytest.approx((first[name] + second[name]) / 2)
    assert in_folds(similarity, image_of, 1) == recalls(similarity, image_of)


# --- The public layout ---------------------------------------------------------------------------


def write(folder, repeated=True, captions=5):
    rng = np.random.default_rng(0)
    for split, n in (("train", 4), ("dev", 2), ("test", 2)):
        images = rng.normal(size=(n, 3, 6)).astype(np.float32)
        stored = np.repeat(images, 5, 0) if repeated and split != "train" else images
        np.save(folder / f"{split}_ims.npy", stored)
        lines = [f"Image {split}{i}, caption {k}." for i in range(n) for k in range(captions)]
        (folder / f"{split}_caps.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("repeated", [True, False])
def test_images_stand_once_or_once_a_caption(tmp_path, repeated):
    data = from_folder(write(tmp_path, repeated))
    assert {split: len(one.images) for split, one in data.items()} == {
        "train": 4, "dev": 2, "test": 2,
    }  # fmt: skip
    dev = data["dev"]
    assert dev.image_of.tolist() == [0] * 5 + [1] * 5
    assert dev.captions[6] == "Image dev1, caption 1."
    stored = np.load(tmp_path / "dev_ims.npy")
    assert np.array_equal(dev.images[1], stored[5 if repeated else 1])


def test_a_wrong_layout_is_named(tmp_path):
    with pytest.raises(UserError, match="4 images; expected 5 lines"):
        from_folder(write(tmp_path, captions=4))
    write(tmp_path)
    np.save(tmp_path / "test_ims.npy", np.zeros((2, 6), np.float32))
    with pytest.raises(UserError, match=r"expected \(n, regions, dim\)"):
        from_folder(tmp_path)
    np.save(tmp_path / "test_ims.npy", np.array([[[{}]]]), allow_pickle=True)
    with pytest.raises(UserError, match="test is not readable"):
        from_folder(tmp_path)
    (tmp_path / "dev_caps.txt").unlink()
    with pytest.raises(UserError, match=r"dev_caps.txt: no such file. --data wants"):
        from_folder(tmp_path)


def test_words_and_their_numbers():
    assert words_of("A dog’s tail, 2 DOGS.") == ["a", "dog", "s", "tail", "2", "dogs"]
    words = vocabulary(["b a", "a c", "c"], 2)
    assert words == {"a": UNKNOWN + 1, "c": UNKNOWN + 2}
    assert numbers_of("C b a", words) == [UNKNOWN + 2, UNKNOWN, UNKNOWN + 1, END]
    assert numbers_of("", words) == [END]


def test_a_workspaces_clips_are_one_split_each(filled):
    """Every clip of the small corpus is in source_train; those held out are not trained on."""
    data = from_workspace(filled, open_features(filled, None))
    sizes = {split: len(one.images) for split, one in data.items()}
    assert sizes == {"train": 8, "dev": 4, "test": 4}
    descriptions = {split: set(one.captions) for split, one in data.items()}
    assert not descriptions["train"] & (descriptions["dev"] | descriptions["test"])
    for one in data.values():
        assert one.image_of.tolist() == list(range(len(one.images)))
        assert all(image.shape[1] == 8 for image in one.images)
