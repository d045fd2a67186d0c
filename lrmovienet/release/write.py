"""Parquet as a release has it: small row groups, a page index, pages cut by content."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lrmovienet.files import atomic_open

ROWS_A_GROUP = 100_000
"""Of text rows, some 20 MB. The Hub's viewer reads pages of a group, but not of groups that are too
large; many small groups would shift against each other with every row that is added."""
CHUNKS = {"min_chunk_size": 16 * 2**10, "max_chunk_size": 64 * 2**10}
"""Bytes of a page, cut where the content says."""
PICTURES_A_GROUP = 100
GROUP_BYTES = 64 * 2**20
"""Where rows hold pictures or vectors, a group ends here, too. The viewer refuses some 286 MiB."""


def write_config(path: Path, rows: pa.Table) -> None:
    """Write one file of a config, atomically. Equal rows give equal bytes (by one pyarrow)."""
    write_stream(path, rows.schema, [rows], ROWS_A_GROUP)


def write_stream(path: Path, schema: pa.Schema, parts: Iterable[pa.Table], rows: int) -> int:
    """Write parts one after the other, each in row groups of its own. Returns the rows written.

    Pages are cut where the content says (content-defined chunking), so that a later version that
    adds rows shares most of its bytes with this one, and storage that knows chunks keeps and sends
    them once. For the same reason there are no dictionaries: one new label would renumber all that
    come after it.
    """
    written = 0
    with (
        atomic_open(path) as file,
        pq.ParquetWriter(
            file, schema, compression="zstd", write_page_index=True,
            use_content_defined_chunking=CHUNKS, use_dictionary=False,
        ) as writer,
    ):  # fmt: skip
        for part in parts:
            writer.write_table(part, row_group_size=rows)
            written += part.num_rows
    return written
