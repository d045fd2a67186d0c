"""Random bytes and damaged files: refused, or read as something valid; never another error."""

import gzip
import json
import random

import numpy as np
import pytest
from written import GOLD, to_jsonl, to_parquet

from eval.runs import RunError, read_gold, read_run

ROWS = [{"clip_id": c, "label": label, "grade": g, "movie_id": f"m_{c}", "genres": ["War", "Drama"],
         "source": "image", "split": "t"} for c, label, g in GOLD]  # fmt: skip
RUN = [{"clip_id": c, "label": label, "score": g / 7} for c, label, g in GOLD]
ITEMS = [{"id": c, "tags": [{"tag": label, "target": g} for d, label, g in GOLD if d == c]}
         for c in ("c1", "c2")]  # fmt: skip
DELTA = {"clip_id": "DELTA_BYTE_ARRAY", "label": "DELTA_LENGTH_BYTE_ARRAY"}
# Without compression a flipped bit reaches the values, with it the decompressor.
PLAIN = {"compression": "none", "use_dictionary": False}
PARQUETS = (
    {},
    {"row_group_size": 2},
    {"compression": "none"},
    PLAIN,
    {**PLAIN, "column_encoding": DELTA},
)
FILES = [
    *(
        (".parquet", to_parquet(ROWS, **options), to_parquet(RUN, **options))
        for options in PARQUETS
    ),
    (".jsonl", to_jsonl(ROWS), to_jsonl(RUN)),
    (
        ".csv",
        b"clip_id,label,grade,movie_id,genres\r\n"
        + b"".join(f'{c},"{label}",{g},m,War|Drama\r\n'.encode() for c, label, g in GOLD),
        b"clip_id,label,score\r\n"
        + b"".join(f'{c},"{label}",{g / 7}\r\n'.encode() for c, label, g in GOLD),
    ),
    (
        ".trec",
        b"".join(f'{c} 0 "{label}" {g}\n'.encode() for c, label, g in GOLD),
        b"".join(
            f"{c} Q0 {label} 1 {g / 7} x\n".replace("old man", "old\\ man").encode()
            for c, label, g in GOLD
        ),
    ),
    (".json", json.dumps(ITEMS).encode(), to_jsonl(RUN)),
]
ENDS = sorted({end for end, _, _ in FILES})
# What readers stumble over.
TOKENS = [
    *(bytes([byte]) for byte in b'"\\,\n\r\0\xff{}[]-:| '),
    *(b"null", b"true", b"NaN", b"1e999", b"9" * 400, b"9" * 5000, b"[" * 3000),
    *(b"\xc2\xa0", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\\ud800", b"\x1f\x8b", b"PAR1"),
]


def damaged(rng, data):
    """A few flips, cuts, insertions, repetitions, and splices from other files."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        i = rng.randrange(len(data) + 1)
        j = min(len(data), i + rng.choice((1, 2, 4, 16, 200)))
        what = rng.choice(("flip", "byte", "delete", "token", "splice", "repeat", "cut"))
        if what == "flip" and data:
            data[i % len(data)] ^= 1 << rng.randrange(8)
        elif what == "byte" and data:
            data[i % len(data)] = rng.randrange(256)
        elif what == "delete":
            del data[i:j]
        elif what == "token":
            data[i:i] = rng.choice(TOKENS)
        elif what == "splice":
            other = rng.choice(rng.choice(FILES)[1:])
            k = rng.randrange(len(other))
            data[i:j] = other[k : k + rng.choice((4, 30, 500))]
        elif what == "repeat":
            data[i:i] = data[i:j]
        elif what == "cut":
            del data[i:]
    return bytes(data)


def any_file(rng):
    """The end of a name, and bytes that may or may not be such a file."""
    end, *contents = rng.choice(FILES)
    data = rng.randbytes(rng.randrange(200)) if rng.random() < 0.05 else rng.choice(contents)
    if rng.random() < 0.9:
        data = damaged(rng, data)
    if rng.random() < 0.2:
        data = gzip.compress(data, 1)
        data = damaged(rng, data) if rng.random() < 0.5 else data
        end += rng.choice(("", ".gz"))
    if rng.random() < 0.15:
        end = rng.choice((".txt", *ENDS))
    return end, data


def check_gold(gold):
    n_labels, n_clips = len(gold.grades), len(gold.clip_ids)
    assert gold.offsets[0] == 0
    assert gold.offsets[-1] == n_labels == len(gold.labels) == len(gold.clip_of)
    assert (np.diff(gold.offsets) > 0).all()
    assert np.array_equal(gold.clip_of, np.repeat(np.arange(n_clips), np.diff(gold.offsets)))
    assert set(gold.grades.tolist()) <= {0, 1, 2}
    labels = gold.labels.to_pylist()
    assert all(label and label.strip() for label in labels)
    assert len(set(zip(gold.clip_of.tolist(), labels, strict=True))) == n_labels
    assert len(gold.film_of) == n_clips
    assert set(gold.film_of.tolist()) == set(range(len(gold.film_ids)))
    assert gold.genres is None or len(gold.genres) == n_clips
    assert gold.sources is None or len(gold.sources) == n_labels


def check_run(run, gold):
    assert sorted(run.gold_rows.tolist()) == list(range(len(gold.grades)))
    assert np.array_equal(gold.clip_of[run.gold_rows], gold.clip_of)
    assert np.isneginf(run.scores).sum() == run.missing
    assert np.isfinite(run.scores).sum() == len(gold.grades) - run.missing
    assert 0 <= run.normalised <= len(gold.grades)


@pytest.fixture
def gold(tmp_path):
    path = tmp_path / "the_gold.jsonl"
    path.write_bytes(to_jsonl(ROWS))
    return read_gold(path)


def outcome(rng, folder, gold):
    """Read one file as gold and as predictions; what came of it."""
    end, data = any_file(rng)
    path = folder / f"x{end}"
    path.write_bytes(data)
    came = []
    for read in ("gold", "run"):
        try:
            if read == "gold":
                check_gold(read_gold(path, rng.choice((None, "t"))))
            else:
                allow = rng.random() < 0.5
                run = read_run(path, gold, "x", allow_missing=allow)
                check_run(run, gold)
                assert allow or not run.missing
            came.append(read)
        except RunError as error:
            message = str(error)
            assert message.strip()
            assert len(message) < 6000
            assert not set(message) & {"\x1b", "\0"}
            came.append("refused")
    return came


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_refused_or_read_as_something_valid(tmp_path, gold, seed):
    rng = random.Random(seed)
    came = [what for _ in range(250) for what in outcome(rng, tmp_path, gold)]
    # The damage must be such that each of these happens, or nothing was tried.
    assert set(came) == {"gold", "run", "refused"}


def test_the_files_are_right_before_they_are_damaged(tmp_path, gold):
    for i, (end, good, run) in enumerate(FILES):
        path = tmp_path / f"{i}{end}"
        path.write_bytes(good)
        assert read_gold(path).grades.tolist() == [2, 0, 1, 0, 2]
        path = tmp_path / f"{i}{'.jsonl' if end == '.json' else end}"
        path.write_bytes(run)
        assert read_run(path, gold, "x").scores.tolist() == [g / 7 for _, _, g in GOLD]


@pytest.mark.parametrize("end", [".parquet", ".jsonl", ".csv", ".trec", ".json"])
def test_a_file_cut_anywhere(tmp_path, gold, end):
    for suffix, good, _ in FILES[1:]:
        if suffix != end:
            continue
        path = tmp_path / f"x{end}"
        for n in range(0, len(good), max(1, len(good) // 150)):
            path.write_bytes(good[:n])
            try:
                check_gold(read_gold(path))
            except RunError as error:
                assert str(error).strip()
            else:
                assert end in (".jsonl", ".csv", ".trec"), "half of it is not the whole"


def test_names_of_columns_that_are_no_text(tmp_path):
    """Damage in the footer of a Parquet file gave a UnicodeDecodeError once."""
    path = tmp_path / "x.parquet"
    whole = to_parquet(ROWS, store_schema=False)
    path.write_bytes(whole.replace(b"clip_id", b"clip_\xe7d"))
    with pytest.raises(RunError, match=r"x\.parquet"):
        read_gold(path)
