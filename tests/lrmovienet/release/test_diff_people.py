"""What single people said, compared between two releases."""

import json
import shutil

import pyarrow as pa
from making import sealed

from lrmovienet.release.diff import compare
from lrmovienet.release.layout import Release
from lrmovienet.release.write import write_config


def test_what_people_said_is_compared_too(built, tmp_path):
    """One rating less, one changed, and no pairs at all."""
    changed = tmp_path / "r"
    shutil.copytree(built, changed)
    ratings = Release.open(built).read("ratings")
    rows = ratings.to_pylist()
    gone, other = rows.pop(3), rows[7]
    other["grade"] = (other["grade"] + 1) % 3
    table = pa.Table.from_pylist(rows, ratings.schema)
    write_config(changed / "ratings" / "ratings.parquet", table)
    (changed / "pair_ratings" / "pair_ratings.parquet").unlink()
    manifest = json.loads((changed / "manifest.json").read_bytes())
    manifest["files"]["ratings/ratings.parquet"]["rows"] = len(rows)
    del manifest["files"]["pair_ratings/pair_ratings.parquet"]
    (changed / "manifest.json").write_text(json.dumps(manifest))
    new = Release.open(sealed(changed).root)
    found = {kind: rows for kind, rows in compare(Release.open(built), new).items() if rows}
    key = ("clip_id", "label", "annotator")
    assert found.pop("ratings removed") == [[gone[name] for name in key]]
    assert found.pop("ratings changed") == [[*(other[name] for name in key), "grade"]]
    pairs = Release.open(built).read("pair_ratings").num_rows
    assert len(found.pop("pair_ratings removed")) == pairs
    assert found == {}
