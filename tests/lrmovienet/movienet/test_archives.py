"""Zips made to do harm, or damaged: refused with one message or not seen, nothing unpacked."""

import io
import json
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import (
    ONE,
    TWO,
    as_tars,
    as_zips,
    bytes_of,
    dropped_of,
    frames,
    ids_of,
    ingest,
    put,
    small_files,
    story,
    tar_of,
    two_films,
    zip_of,
)

from lrmovienet.archives import inflate, is_safe, open_zip, read_member, stored_at
from lrmovienet.errors import ItemError
from lrmovienet.keyframes import KeyframeReader
from lrmovienet.movienet.layout import FilmFiles
from lrmovienet.places import films_in

DEFLATED = zipfile.ZIP_DEFLATED
KEYFRAMES = "movie1K.keyframes.240p.v1.zip"
HOSTILE = [
    "/annotation/tt3.json", "../tt3.json", "annotation/../../tt3.json", "\\tt3.json",
    "..\\..\\tt3.json", "annotation\\..\\tt3.json", "C:/tt3.json", "c:tt3.json", "C:\\tt3.json",
    "//host/share/tt3.json", "\\\\host\\share\\tt3.json", "annotation/../tt3.json",
]  # fmt: skip


def patched(data, *fields):
    """A zip whose members' entries in the directory say something else: (offset, format, value)."""
    data = bytearray(data)
    at = data.find(b"PK\1\2")
    while at >= 0:
        for offset, form, value in fields:
            struct.pack_into(form, data, at + offset, value)
        at = data.find(b"PK\1\2", at + 4)
    return bytes(data)


FLAGS, METHOD, CRC, COMPRESSED, SIZE, START = 8, 10, 16, 20, 24, 42


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_lead_out_are_not_safe(name):
    assert not is_safe(name)


@pytest.mark.parametrize(
    "name", ["annotation/tt3.json", "tt3.json", "a/b/tt..3.json", "...json", "a/b:c.json"]
)
def test_names_that_stay_inside_are_safe(name):
    assert is_safe(name)


@given(st.text(st.sampled_from("a./\\:")))
def test_a_safe_name_stays_below_the_place_on_every_system(name):
    import ntpath
    import posixpath

    if is_safe(name):
        for system, root in ((posixpath, "/here"), (ntpath, "C:\\here")):
            place = system.normpath(system.join(root, name))
            assert place == root or place.startswith(root + system.sep), place


@pytest.mark.parametrize("part", ["annotation.v1.zip", KEYFRAMES])
def test_hostile_names_in_a_zip_are_never_opened(tmp_path, part):
    films = two_films()
    files = as_zips(films)
    ending = ".tar" if part == KEYFRAMES else ".json"
    bad = json.dumps({"story": [story("tt3", 0, [0, 0])]}).encode()
    bad = tar_of(frames("tt3", 1)) if part == KEYFRAMES else bad
    with zipfile.ZipFile(io.BytesIO(files[part])) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    hostile = {name.replace(".json", ending): bad for name in HOSTILE}
    files[part] = zip_of(hostile | members)
    before = put(tmp_path / "m", files) and bytes_of(tmp_path)
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    assert len(ids_of(tmp_path / "w")) == 4
    outside = {k: v for k, v in bytes_of(tmp_path).items() if not k.startswith("w/")}
    assert outside == before, "nothing is written beside the workspace"
    if part == KEYFRAMES:
        assert films_in(tmp_path / "m" / part) == {ONE, TWO}
    else:
        assert FilmFiles(tmp_path / "m" / part, ".json").films() == [
            "tt0000001", "tt0000002", ONE, TWO,
        ]  # fmt: skip
        assert set(FilmFiles(tmp_path / "m" / part, ".json").refused()) == set(HOSTILE)


def hostile_annotations(what):
    """annotation.v1.zip of one film, bad in one way."""
    name = f"annotation/{ONE}.json"
    data = json.dumps({"story": [story(ONE, 0, [0, 0])]}).encode()
    plain = zip_of({name: data}, DEFLATED)
    match what:
        case "text":
            return b"<html>Please log in</html>"
        case "empty":
            return b""
        case "cut":
            return plain[:-30]
        case "encrypted":
            return patched(plain, (FLAGS, "<H", 1))
        case "two of one film":
            return zip_of({name: data, f"old/{ONE}.json": data})
        case "larger than it says":
            return patched(plain, (SIZE, "<I", 20))
        case "too large":
            return patched(plain, (SIZE, "<I", 64_000_001))
        case "wrong checksum":
            return patched(plain, (CRC, "<I", 7))
        case "points outside":
            return patched(plain, (START, "<I", 100_000))
        case "points into itself":
            return patched(plain, (START, "<I", 3))
        case "unknown method":
            return patched(plain, (METHOD, "<H", 77))
        case "wrong method":
            return patched(plain, (METHOD, "<H", zipfile.ZIP_LZMA))
        case "a link":
            link = zipfile.ZipInfo(name)
            link.external_attr = 0o120777 << 16
            return zip_of({link: b"/etc/passwd"})
    raise AssertionError(what)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("text", "annotation.v1.zip: not a readable zip (File is not a zip file)"),
        ("empty", "annotation.v1.zip: not a readable zip"),
        ("cut", "annotation.v1.zip: not a readable zip"),
        ("encrypted", "is encrypted. Unpack the zip with its password first."),
        ("two of one film", f"has 'annotation/{ONE}.json' and 'old/{ONE}.json'; take one of th"),
        ("larger than it says", "damaged (Bad CRC-32"),
        ("too large", "would grow from 148 to 64000001 bytes; such a file is made to do harm"),
        ("wrong checksum", "damaged (Bad CRC-32"),
        ("points outside", "damaged ("),
        ("points into itself", "damaged ("),
        ("unknown method", "is compressed by method 77, which is not read. Unpack it."),
        ("wrong method", "is compressed by method 14, which is not read. Unpack it."),
        ("a link", f"annotation/{ONE}.json: not readable JSON"),
    ],
)
def test_bad_zips_of_annotations(tmp_path, capsys, what, message):
    files = as_zips(two_films()) | {"annotation.v1.zip": hostile_annotations(what)}
    root = put(tmp_path / "m", files)
    assert ingest(tmp_path / "w", root) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert len(err) < 1000
    assert "annotation.v1.zip" in err or what == "a link"
    assert bytes_of(root) == files


@pytest.mark.parametrize("name", ["annotation.v1.zip", "meta.v1.zip", KEYFRAMES])
def test_a_folder_named_like_a_zip_is_no_zip(tmp_path, capsys, name):
    files = as_tars(two_films())
    put(tmp_path / "m", files)
    (tmp_path / "m" / name).mkdir()
    assert ingest(tmp_path / "w", tmp_path / "m") == 0
    assert len(ids_of(tmp_path / "w")) == 4


def keyframes_zip(what):
    name, tar = f"240P/{ONE}.tar", tar_of(frames(ONE, 10))
    stored, deflated = zip_of({name: tar}), zip_of({name: tar}, DEFLATED)
    match what:
        case "text":
            return b"Moved permanently" * 100
        case "cut":
            return stored[: len(stored) // 2]
        case "encrypted, stored":
            return patched(stored, (FLAGS, "<H", 1))
        case "encrypted, deflated":
            return patched(deflated, (FLAGS, "<H", 1))
        case "longer than the zip":
            return patched(stored, (SIZE, "<I", 2**31), (COMPRESSED, "<I", 2**31))
        case "shorter than the tar":
            return patched(stored, (SIZE, "<I", 700), (COMPRESSED, "<I", 700))
        case "points outside":
            return patched(stored, (START, "<I", 2**32 - 2))
        case "points before":
            return patched(stored, (START, "<I", 5))
        case "wrong checksum, deflated":
            return patched(deflated, (CRC, "<I", 7))
        case "a bomb that says so":
            return patched(deflated, (SIZE, "<I", 2**32 - 2))
        case "a bomb that does not":
            return patched(zip_of({name: tar + bytes(10**7)}, DEFLATED), (SIZE, "<I", len(tar)))
        case "no tar in it":
            return zip_of({name: b"no tar\n" * 400})
        case "a compressed tar":
            return zip_of({f"240P/{ONE}.tar": zip_of({"a": tar}, DEFLATED)})
    raise AssertionError(what)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("text", "not a readable zip"),
        ("cut", "not a readable zip"),
        ("encrypted, stored", "is encrypted. Unpack the zip with its password first."),
        ("encrypted, deflated", "is encrypted. Unpack the zip with its password first."),
        ("longer than the zip", ""),
        ("shorter than the tar", "not a readable tar"),
        ("points outside", "its directory is wrong"),
        ("points before", "its directory is wrong"),
        ("wrong checksum, deflated", "damaged (Bad CRC-32"),
        ("a bomb that says so", "such a file is made to do harm and is not opened."),
        ("a bomb that does not", "damaged (Bad CRC-32"),
        ("no tar in it", "not a readable tar"),
        ("a compressed tar", "not a readable tar"),
    ],
)
def test_bad_zips_of_keyframes(tmp_path, capsys, what, message):
    films = two_films()
    files = small_files(films) | {KEYFRAMES: keyframes_zip(what)}
    root = put(tmp_path / "m", files)
    status = ingest(tmp_path / "w", root)
    err = capsys.readouterr().err
    # What lies behind the end of a tar is not looked at, so a wrong length may do no harm.
    assert status == (0 if what == "longer than the zip" else 2)
    assert message in err
    assert "Traceback" not in err
    if status:
        assert KEYFRAMES in err
        assert len(err) < 1500
    assert bytes_of(root) == files


def test_two_tars_of_one_film_in_a_zip_are_not_taken_by_chance(tmp_path, capsys):
    pair = {f"240P/{ONE}.tar": tar_of(frames(ONE, 10)), f"old/{ONE}.tar": tar_of(frames(ONE, 1))}
    films = two_films()[1:2]
    for i, order in enumerate((pair, dict(reversed(pair.items())))):
        root = put(tmp_path / f"m{i}", small_files(films) | {KEYFRAMES: zip_of(order)})
        assert ingest(tmp_path / f"w{i}", root) == 2
        err = capsys.readouterr().err
        assert f"old/{ONE}.tar" in err
        assert f"240P/{ONE}.tar" in err


def test_the_first_of_equal_names_in_a_zip_of_folders_is_no_way_around(tmp_path):
    """A keyframe is found by its name in the film's own tar only."""
    other = tar_of(frames(ONE, 1) | {f"{TWO}/shot_0000_img_0.jpg": b"of another film"})
    put(tmp_path, {KEYFRAMES: zip_of({f"240P/{ONE}.tar": other})})
    assert KeyframeReader(tmp_path).refs(ONE) == list(frames(ONE, 1))
    with pytest.raises(ItemError, match=f"no keyframes of {TWO}"):
        KeyframeReader(tmp_path).read(f"{TWO}/shot_0000_img_0.jpg")


@pytest.mark.parametrize("method", [DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("read", ["read_member", "inflate"])
def test_a_member_that_grows_beyond_its_size_takes_no_memory(tmp_path, method, read):
    """60 MB of zeros in some kB, which says that it has 1000 bytes."""
    data = patched(zip_of({"a": bytes(60_000_000)}, method), (SIZE, "<I", 1000))
    archive = open_zip(put(tmp_path, {"a.zip": data}) / "a.zip")
    info = archive.infolist()[0]
    written = io.BytesIO()
    tracemalloc.start()
    try:
        with pytest.raises(ItemError, match=r"a\.zip, 'a': "):
            if read == "inflate":
                inflate(archive, info, written, 10_000)
            else:
                read_member(archive, info, 10_000)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()
    assert len(written.getvalue()) <= 1000


def test_a_bomb_is_not_inflated_at_all(tmp_path):
    archive = open_zip(
        put(tmp_path, {"a.zip": zip_of({"a": bytes(60_000_000)}, DEFLATED)}) / "a.zip"
    )
    written = io.BytesIO()
    with pytest.raises(ItemError, match=r"would grow from .* to 60000000 bytes"):
        inflate(archive, archive.infolist()[0], written, 10**9)
    assert written.getvalue() == b""


def test_where_a_stored_member_lies(tmp_path):
    """The local header's own lengths count: they may differ from those of the directory."""
    info = zipfile.ZipInfo("folder/é.tar")
    info.extra = b"\xfe\xca\x04\x00abcd"
    data = zip_of({"first": b"12345", info: b"content"})
    archive = open_zip(put(tmp_path, {"a.zip": data}) / "a.zip")
    one, two = archive.infolist()
    assert stored_at(archive, one) == 30 + len("first")
    assert data[stored_at(archive, two) :].startswith(b"content")
    archive = open_zip(put(tmp_path, {"b.zip": zip_of({"a": b"1"}, DEFLATED)}) / "b.zip")
    assert stored_at(archive, archive.infolist()[0]) is None


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_zip_with_wrong_bytes_is_read_or_refused_but_never_crashes(tmp_path_factory, data):
    folder = tmp_path_factory.getbasetemp()
    method = data.draw(st.sampled_from([zipfile.ZIP_STORED, DEFLATED, zipfile.ZIP_BZIP2]))
    zipped = bytearray(zip_of({"240P/tt1.tar": b"content" * 9, "é/b.json": b"{}"}, method))
    # Most of what can go wrong is in the directory, which comes last.
    begin = data.draw(st.sampled_from([0, zipped.find(b"PK\1\2"), zipped.find(b"PK\5\6")]))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(begin, len(zipped) - 1))
        zipped[at] = data.draw(st.sampled_from([0, 1, 8, 127, 128, 254, 255]))
    path = folder / "fuzzed.zip"
    path.write_bytes(zipped)
    try:
        archive = open_zip(path)
    except ItemError:
        return
    with archive:
        for info in archive.infolist():
            for use in (
                lambda i=info: len(read_member(archive, i, 1000)) <= 1000,
                lambda i=info: inflate(archive, i, io.BytesIO(), 1000) is None,
                lambda i=info: stored_at(archive, i) is None or stored_at(archive, i) >= 30,
            ):
                try:
                    assert use()
                except ItemError as error:
                    assert "fuzzed.zip" in str(error)


@pytest.mark.parametrize("value", [2**31, 2**62, 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("read", [stored_at, lambda a, i: read_member(a, i, 10**9)])
def test_members_beyond_any_file(tmp_path, value, read):
    """Zips of more than 4 GB say where a member lies in 64 bits."""
    archive = open_zip(put(tmp_path, {"a.zip": zip_of({"a": b"content"})}) / "a.zip")
    info = archive.infolist()[0]
    info.header_offset = value
    with pytest.raises(ItemError, match=r"a\.zip, 'a': damaged"):
        read(archive, info)


def test_a_damaged_film_in_a_zip_costs_only_itself(tmp_path, capsys):
    films = two_films()
    tars = {f"240P/{ONE}.tar": b"no tar" * 99, f"240P/{TWO}.tar": tar_of(frames(TWO, 1))}
    root = put(tmp_path / "m", small_files(films) | {KEYFRAMES: zip_of(tars)})
    assert ingest(tmp_path / "w", root, "--skip_failed") == 0
    assert ids_of(tmp_path / "w") == [f"{TWO}_0000"]
    assert (
        f"{KEYFRAMES}, 240P/{ONE}.tar: not a readable tar" in dict(dropped_of(tmp_path / "w"))[ONE]
    )


def test_no_file_stays_open(tmp_path):
    """A process may read some hundred films from a zip; it has 1024 handles."""
    films = {f"240P/tt{i}.tar": tar_of(frames(f"tt{i}", 1)) for i in range(40)}
    put(tmp_path, {KEYFRAMES: zip_of(films, DEFLATED)})
    reader = KeyframeReader(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for i in range(40):
        assert reader.read(f"tt{i}/shot_0000_img_0.jpg") == f"tt{i} 0 0".encode()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 12
