"""How the official code indexes its files, written from the description of it alone."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np


class Files:
    """The files in the folder in which the official code runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.features = h5py.File(folder / "clean_feat.h5", "r")

    def items(self, name: str) -> list[dict[str, Any]]:
        return json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))

    def frames(self, item: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """(16, 768): in a random order, the first 16, or repeated cyclically up to 16."""
        found = self.features[item["id"]]["img_emb"][:][0]
        found = found[rng.permutation(len(found))]
        return found[[i % len(found) for i in range(16)]]

    def text(self, item: dict[str, Any], places: list[int]) -> np.ndarray:
        """(n, 196, 768) of the tags at these places."""
        return self.features[item["id"]]["text_emb"][:][np.array(places)]

    def stage_1(self, item: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """20 tags in training: the first 20, or the relevant ones again and again."""
        places = [*range(len(item["tags"]))][:20]
        targets = [int(tag["target"]) for tag in item["tags"]]
        again = [i for i in places if targets[i] != 0] or places
        places += [again[i % len(again)] for i in range(20 - len(places))]
        return self.text(item, places), np.array([targets[i] for i in places])

    def ranked(self, item: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """A list to be ranked, as it is."""
        targets = np.array([int(tag["target"]) for tag in item["tags"]])
        return self.text(item, [*range(len(targets))]), targets

    def stage_2(self, item: dict[str, Any]) -> list[tuple[np.ndarray, np.ndarray]]:
        """(2, 196, 768) better and worse of each pair, and the targets, which are ignored."""
        targets = [int(tag["target"]) for tag in item["tags"]]
        return [
            (self.text(item, [better, worse]), np.array([targets[better], targets[worse]]))
            for better, worse in item["index"]
        ]

    def stage_3(self, item: dict[str, Any], rng: np.random.Generator) -> np.ndarray:
        """80 random pairs, (80, 2) places; an item of one tag has none."""
        n = len(item["tags"])
        assert all(isinstance(tag["target"], int | float) for tag in item["tags"])
        return np.array([rng.choice(n, 2, replace=False) for _ in range(80)])
