"""Files of tags that were made elsewhere, and the rows that they become."""

import csv
import io
import json

from lrmovienet.schema import IMAGE_LABELS
from lrmovienet.tagging.precomputed import image_labels, read
from lrmovienet.validation import from_columns

REFS = [f"tt1/shot_0000_img_{i}.jpg" for i in range(3)]
CLIPS = {
    "tt1_0001": [{"ref": ref, "sha256": "0"} for ref in REFS[:2]],
    "tt1_0002": [{"ref": ref, "sha256": "0"} for ref in REFS[1:]],
    "tt2_0001": [{"ref": "tt2/shot_0007_img_0.jpg", "sha256": "0"}],
}


def jsonl(path, *rows):
    path = path / "tags.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def of(found, clips=CLIPS):
    """(clip, label, score, frames hit, scores of frames), and (clip, reason) of the dropped."""
    columns = image_labels(found, clips, "precomputed:t", "t.jsonl")
    reasons = columns.pop("drop_reason")
    kept = [i for i, reason in enumerate(reasons) if reason is None]
    from_columns({k: [v[i] for i in kept] for k, v in columns.items()}, IMAGE_LABELS, "test")
    assert {columns["tagger"][i] for i in kept} <= {"precomputed:t"}
    assert {columns["threshold"][i] for i in kept} <= {None}
    names = ("clip_id", "label", "score", "frames_hit", "frame_scores")
    rows = [tuple(columns[name][i] for name in names) for i in kept]
    return rows, [(columns["clip_id"][i], r) for i, r in enumerate(reasons) if r is not None]


def rows_of(path, clips=CLIPS):
    return of(read(path), clips)[0]


def as_csv(path, rows, delimiter):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())  # as spreadsheets do
    return path
