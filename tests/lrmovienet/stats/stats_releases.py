"""Small releases for the tests of `lrmovienet stats`, written by hand or from a workspace."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa

from lrmovienet.release.layout import CONFIGS, FORMAT, MANIFEST, Release, files_of, path_of
from lrmovienet.release.write import write_config

# One line a label: clip, domain, split, label, grade, source.
LABELS = """
f1_0000 source source_train rain   2    event
f1_0000 source source_train car    1    image
f1_0000 source source_train dog    0    image
f1_0001 source source_train rain   0    image
f1_0001 source source_train house  0    entity
f1_0001 target target_pairs tank   none image
f1_0001 target target_pairs mud    none entity
f1_0001 target target_pairs helmet none event
f2_0000 target target_pairs tank   none image
f2_0000 target target_pairs mud    none entity
f3_0000 target target_test  tank   2    event
f3_0000 target target_test  smoke  1    image
"""
GENRES = {"f1_0000": ["Drama"], "f1_0001": ["Drama", "War"], "f2_0000": ["War"],
          "f3_0000": ["Drama", "War"], "f4_0000": []}  # fmt: skip
PAIRS = [("f1_0001", "tank", "mud", 5), ("f1_0001", "tank", "helmet", 10),
         ("f2_0000", "mud", "tank", 40)]  # fmt: skip
SETS = {"head": ["Drama"], "tail": ["War"]}


def clip(clip_id, genres, keyframes=None, **other):
    movie_id = clip_id.split("_")[0]
    default = [{"ref": f"{movie_id}/shot_0000_img_{i}.jpg", "sha256": "0" * 64} for i in range(2)]
    return {
        "clip_id": clip_id, "movie_id": movie_id, "title": f"Film {movie_id}", "genres": genres,
        "description": f"What happens in {clip_id}.", "shot": [0, 0], "frame": [0, 9],
        "start_s": None, "end_s": None, "keyframes": keyframes or default, **other,
    }  # fmt: skip


def label_rows(text=LABELS, genres=GENRES):
    rows, places = [], {}
    for line in text.strip().splitlines():
        clip_id, domain, split, label, grade, source = line.split()
        position = places[clip_id, domain] = places.get((clip_id, domain), -1) + 1
        rows.append(
            {
                "clip_id": clip_id, "domain": domain, "split": split, "position": position,
                "label": label, "grade": None if grade == "none" else int(grade),
                "movie_id": clip_id.split("_")[0], "genres": genres[clip_id], "source": source,
            }
        )  # fmt: skip
    return rows


def tables(labels, clips, pairs):
    """(config, file) -> rows, as a release has them."""
    made = {("clips", "clips"): clips}
    for row in labels:
        made.setdefault(("relevance", row["split"]), []).append(row)
    for clip_id, better, worse, percent in pairs:
        row = {"clip_id": clip_id, "better": better, "worse": worse, "percent": percent}
        made.setdefault(("preferences", f"pct{percent}"), []).append(row)
    return {
        key: pa.Table.from_pylist(rows, schema=CONFIGS[key[0]].schema) for key, rows in made.items()
    }


def write_release(root: Path, files, **manifest) -> Release:
    """Write tables, by (config, file), as a release; `manifest` adds to its manifest."""
    entries = {}
    for (config, file), rows in files.items():
        assert any(file in of for of in files_of(config).values())
        name = path_of(config, file)
        write_config(root / name, rows)
        data = (root / name).read_bytes()
        entries[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    digest = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
    content = {"format": FORMAT, "version": "1.2.0", "digest": digest, "files": entries, **manifest}
    (root / MANIFEST).write_text(json.dumps(content))
    return Release.open(root)


def small_release(root: Path, labels=None, clips=None, pairs=PAIRS, **manifest) -> Release:
    """The release of `LABELS`, `GENRES` and `PAIRS`, or of other rows."""
    labels = label_rows() if labels is None else labels
    clips = [clip(*item) for item in GENRES.items()] if clips is None else clips
    return write_release(root, tables(labels, clips, pairs), **manifest)
