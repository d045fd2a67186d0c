"""A Parquet file of gold or predictions as columns of `eval.rows.TYPES`."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from eval import rows as limits
from eval.messages import short
from eval.rows import NUMBERS, TEXT, TYPES, Layout, Part, RunError


def read_parquet(data: bytes, layout: Layout) -> Part:
    """Read one file.

    Raises:
        RunError: it is not readable, a column is missing or of another type, or it claims more
            rows than `eval.rows.MAX_ROWS`.
    """
    try:
        schema = pq.ParquetFile(pa.BufferReader(data))
        if schema.metadata.num_rows > limits.MAX_ROWS:
            raise RunError(f"claims {schema.metadata.num_rows} rows, more than {limits.MAX_ROWS}")
        types = schema.schema_arrow
        # pandas leaves its row numbers behind under such names.
        layout.check([name for name in types.names if not name.startswith("__index_level_")])
        wanted = {their: our for their, our in layout.theirs().items() if their in types.names}
        for their, our in wanted.items():
            _check_type(their, our, types.field(their).type)
        texts = [their for their, our in wanted.items() if TYPES[our] == TEXT]
        try:
            reader = pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts)
            table = reader.read(columns=list(wanted))
        except (NotImplementedError, OSError):
            # Some encodings cannot be read as codes; a damaged file fails again, as plain text.
            table = schema.read(columns=list(wanted))
        table.validate(full=True)
        read = pa.table({our: _column(our, table[their]) for their, our in wanted.items()})
    except (pa.ArrowException, OSError, MemoryError, UnicodeDecodeError) as error:
        reason = short(str(error).split("\n")[0])[1:-1]  # it may quote what the file holds
        raise RunError(f"not a readable Parquet file ({reason})") from None
    return Part(read, np.arange(table.num_rows), "row")


def _check_type(their: str, our: str, found: pa.DataType) -> None:
    """Text is never taken for a number, nor a number for text."""
    types = pa.types
    kind = found.value_type if types.is_dictionary(found) else found
    tests: tuple[Callable[[pa.DataType], bool], ...] = (
        types.is_string, types.is_large_string, types.is_string_view,
    )  # fmt: skip
    if our in NUMBERS:
        tests = (types.is_integer, types.is_floating, types.is_decimal)
    elif our == "genres":
        tests = (types.is_list, types.is_large_list)
    fits = any(test(kind) for test in (*tests, types.is_null))
    if fits and our == "genres" and not types.is_null(kind):
        inner = kind.value_type
        fits = types.is_string(inner) or types.is_large_string(inner) or types.is_null(inner)
    if not fits:
        expected = "string" if TYPES[our] == TEXT else TYPES[our]
        raise RunError(f"column {their!r} has type {found}, expected {expected}")


def _column(name: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column in its type of `TYPES`."""
    if TYPES[name] != TEXT:
        plain = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        # Whole numbers beyond 2^53 are rounded, as they are in every other format.
        return values.cast(plain).cast(TYPES[name], safe=False)
    if not pa.types.is_dictionary(values.type):
        return values.cast(pa.string()).dictionary_encode()
    coded = values.unify_dictionaries().combine_chunks()
    if isinstance(coded, pa.ChunkedArray):  # no chunk at all
        coded = coded.chunk(0) if coded.num_chunks else pa.array([], TEXT)
    dictionary = coded.dictionary.cast(pa.string())
    # A file may repeat a value in its dictionary, or hold null there.
    if dictionary.null_count or len(dictionary.unique()) < len(dictionary):
        return pa.chunked_array([dictionary.take(coded.indices).dictionary_encode()])
    indices = coded.indices.cast(pa.int32())
    return pa.chunked_array([pa.DictionaryArray.from_arrays(indices, dictionary)])
