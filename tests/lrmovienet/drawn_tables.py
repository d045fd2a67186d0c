"""Tables of a few clips in memory, from lines of text, and the records that are made of them."""

import pyarrow as pa

from lrmovienet.splits import SplitConfig, make_records


def clip(clip_id: str, *genres: str) -> dict:
    return {"clip_id": clip_id, "movie_id": clip_id.split("_")[0], "genres": list(genres)}


class Tables:
    """Tables in memory, read as a workspace's are. Lines of labels: clip, genres, label=grade …"""

    root, candidates_table = "memory", "candidates"

    def __init__(self, text: str) -> None:
        self.tables: dict[str, list[dict]] = {"clips": [], "candidates": [], "relevance": []}
        for line in text.strip().splitlines():
            clip_id, genres, *labels = line.split()
            self.tables["clips"].append(clip(clip_id, *(g for g in genres.split(",") if g != "-")))
            for position, pair in enumerate(labels):
                label, grade = pair.split("=")
                row = {"clip_id": clip_id, "label": label}
                source = {"kind": "event", "model": "m", "score": None}
                self.tables["candidates"].append({**row, "position": position, "sources": [source]})
                self.tables["relevance"].append({**row, "grade": int(grade)})

    def read(self, table: str, columns: object = None) -> pa.Table:
        return pa.Table.from_pylist(self.tables[table])

    def manifest(self, table: str) -> bool:
        return table in self.tables


def records(text: str, **options) -> list[dict]:
    columns = make_records(Tables(text), SplitConfig(**options))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
