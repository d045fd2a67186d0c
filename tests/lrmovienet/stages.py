"""Small stages for the runner's tests; in a module of their own so that processes can load them."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from lrmovienet.errors import ItemError
from lrmovienet.runner import Columns


@dataclass(frozen=True)
class Tagger:
    """One label a clip. Clips fail, are dropped, are slow or kill the process by their name."""

    log: Path
    version: str = "1"

    def __call__(self, batch: Columns) -> Columns:
        clips = batch["clip_id"]
        with self.log.open("a") as file:
            file.write(" ".join(clips) + "\n")
        for clip in clips:
            if clip.startswith("slow"):
                time.sleep(0.3)
            if clip.startswith("bad") and not (self.log.parent / "mended").exists():
                raise ItemError(f"{clip}: no frames")
            if clip.startswith("bug"):
                raise KeyError("oh")
            if clip.startswith("kill"):
                os._exit(9)
        n = len(clips)
        return {
            "clip_id": clips, "label": ["dog"] * n, "score": [0.5] * n, "frames_hit": [1] * n,
            "frame_scores": [None] * n, "threshold": [None] * n, "tagger": ["t"] * n,
            "drop_reason": ["too low" if c.startswith("low") else None for c in clips],
        }  # fmt: skip
