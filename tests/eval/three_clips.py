"""Three clips worked out by hand: their files, and what they are worth."""

import json
import math

LOG3 = math.log2(3)

# Three clips: c1 high, medium, low; c2 medium, low; c3 nothing relevant.
GOLD = [("c1", "dog", 2), ("c1", "cat", 1), ("c1", "car", 0), ("c2", "dog", 1), ("c2", "cat", 0),
        ("c3", "dog", 0), ("c3", "cat", 0)]  # fmt: skip
# c1 ranks low, high, medium; c2 and c3 tie.
SCORES = [("c1", "dog", 2.0), ("c1", "cat", 1.0), ("c1", "car", 3.0), ("c2", "dog", 0.0),
          ("c2", "cat", 0.0), ("c3", "dog", 0.0), ("c3", "cat", 0.0)]  # fmt: skip
# DCG@3 of c1 = 0 + 3 / log2(3) + 1 / 2, its IDCG@3 = 3 + 1 / log2(3).
C1_AT_3 = (3 / LOG3 + 1 / 2) / (3 + 1 / LOG3)
# c2 expects gain 1/2 at positions 1 and 2, its IDCG is 1.
C2_AT_3 = 1 / 2 + 1 / 2 / LOG3


def jsonl(path, rows, value):
    lines = (json.dumps({"clip_id": c, "label": label, value: v}) for c, label, v in rows)
    path.write_text("".join(line + "\n" for line in lines))
    return path


def means(run):
    return {name: estimate["mean"] for name, estimate in run["measures"].items()}
