"""What the official code could not read, or would read wrongly, is refused with file and id."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from upstream_files import clip, features, films, put, record, theirs, write_items

from lrmovienet.cli import main
from lrmovienet.errors import UserError
from lrmovienet.features import FeatureStore
from lrmovienet.upstream.read import ReadConfig, run
from lrmovienet.upstream.write import WriteConfig
from lrmovienet.upstream.write import run as write
from lrmovienet.workspace import Workspace

Items = dict[str, list[dict[str, Any]]]
PAIR_FILE = "first_second_data_pair/first_second_data_pair_10pct"


@pytest.fixture
def foreign(tmp_path) -> tuple[Path, Items]:
    return tmp_path / "LR", theirs(tmp_path / "LR")


def refused(folder: Path, *messages: str) -> str:
    """Reading fails with these words, and makes no table."""
    workspace = Workspace(folder.parent / "w")
    with pytest.raises(UserError) as error:
        run(ReadConfig(workspace.root, folder))
    for message in messages:
        assert message in str(error.value)
    assert not any(workspace.manifest(name) for name in ("clips", "records", "pairs"))
    assert not (workspace.root / "features").exists()
    assert not list(workspace.root.rglob("*.npy"))
    return str(error.value)


def first(name: str) -> Callable[[Items], dict[str, Any]]:
    return lambda files: files[name][0]


VAL, TRAIN, HELD, PAIRED = map(
    first, ("val_data", "first_stage_data", "first_second_stage_data", PAIR_FILE)
)


@pytest.mark.parametrize(
    ("item", "change", "messages"),
    [
        (VAL, {"tags": []}, ["val_data.json, 'm3_0001'", "has no tags"]),
        (VAL, {"tags": None}, ["`tags` is missing"]),
        (VAL, {"tags": [{"tag": "gun", "target": 3}]}, ["target of 'gun' is 3"]),
        (VAL, {"tags": [{"tag": "gun", "target": "high"}]}, ["target of 'gun' is 'high'"]),
        (VAL, {"tags": [{"tag": "gun", "target": -1}]}, ["target of 'gun' is -1"]),
        (VAL, {"tags": [{"tag": "gun", "target": 0.5}]}, ["target of 'gun' is 0.5"]),
        (VAL, {"tags": [{"tag": "gun", "target": True}]}, ["target of 'gun' is True"]),
        (VAL, {"tags": [{"tag": "gun"}]}, ["target of 'gun' is None"]),
        (VAL, {"tags": [{"tag": "a", "target": 1}, {"tag": "A ", "target": 1}]}, ["'a' stands"]),
        (VAL, {"tags": [{"tag": " ", "target": 1}]}, ["1 to 200 characters"]),
        (VAL, {"tags": [{"tag": "\ud800", "target": 1}]}, ["which is no text"]),
        (VAL, {"id": "m9_0001"}, ["val_data.json, 'm9_0001'", "is not in the file"]),
        (VAL, {"id": "a/b"}, ["val_data.json, item 0", "'a/b'"]),
        (VAL, {"id": ".."}, ["item 0", "'..'"]),
        (VAL, {"id": 7}, ["item 0", "is 7, no id"]),
        (VAL, {"image": []}, ["`image` is missing or empty"]),
        (VAL, {"image": "x.jpg"}, ["`image` is no list"]),
        (VAL, {"description": " "}, ["blank description"]),
        (VAL, {"domain": "source"}, ["of the domain 'source', in a file of target"]),
        (VAL, {"grades": "unknown"}, ["grades are unknown"]),
        (VAL, {"sources": ["image"]}, ["one source a tag"]),
        (VAL, {"clip": [1]}, ["`clip` is no object"]),
        (HELD, {"tags": [{"tag": "fear", "target": 0}]}, ["has one tag; pairs need two"]),
        (PAIRED, {"tags": [{"tag": "fear", "target": 0}]}, ["10pct.json", "has one tag"]),
        (PAIRED, {"index": [[0, 3]]}, ["10pct.json, 'm2_0001'", "[0, 3], and there are 3 tags"]),
        (PAIRED, {"index": [[-1, 0]]}, ["[-1, 0], and there are 3 tags"]),
        (PAIRED, {"index": [[1, 1]]}, ["[1, 1]: a label with itself"]),
        (PAIRED, {"index": [[0, 1, 2]]}, ["no [better, worse]"]),
        (PAIRED, {"index": [[0, True]]}, ["no [better, worse]"]),
        (PAIRED, {"index": [[0, 1.0]]}, ["no [better, worse]"]),
        (PAIRED, {"index": None}, ["`index` is missing"]),
        (PAIRED, {"id": "m8_0001"}, ["is in none of the files of records"]),
        (PAIRED, {"id": "m3_0001", "tags": [{"tag": "love", "target": 0},
                                            {"tag": "gun", "target": 2}], "index": [[1, 0]]},
         ["is not in first_second_stage_data.json"]),
    ],
)  # fmt: skip
def test_items(foreign, item, change, messages):
    folder, files = foreign
    item(files).update(change)
    write_items(folder, files)
    refused(folder, "what the official code could not read", *messages)


@pytest.mark.parametrize("name", ["test_data", PAIR_FILE])
def test_an_id_has_one_order_of_tags_in_all_files(foreign, name):
    folder, files = foreign
    turned = files["first_second_stage_data" if name == PAIR_FILE else "val_data"][0].copy()
    turned.update(tags=turned["tags"][::-1], index=[[0, 1]])
    files[name] = [turned]
    write_items(folder, files)
    refused(folder, f"{name}.json", turned["id"], "another order of tags")


def test_another_grade_in_another_file_of_the_domain(foreign):
    folder, files = foreign
    tags = [{"tag": "love", "target": 1}, {"tag": "gun", "target": 2}]
    files["test_data"] = [{**files["val_data"][0], "tags": tags}]
    write_items(folder, files)
    refused(folder, "test_data.json, 'm3_0001'", "other targets than in val_data.json")


def replace(name: str, value: np.ndarray) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = value

    return change


TEXT, IMAGE = "m3_0001/text_emb", "m3_0001/img_emb"
ONES = np.ones((2, 196, 768), np.float32)
FRAMES = np.ones((1, 2, 768), np.float32)


def with_one(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.copy()
    changed[-1, -1, -1] = value
    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replace(TEXT, ONES[:1]), "text_emb has 1 rows for 2 tags"),
        (replace(TEXT, ONES[:, :195]), "text_emb has 195 tokens a text, not 196"),
        (replace(TEXT, ONES[:, :, :767]), "text_emb has the last dimension 767, not 768"),
        (replace(TEXT, ONES[0]), "text_emb has the shape (196, 768)"),
        (replace(TEXT, ONES.astype(np.float16)), "text_emb is float16"),
        (replace(TEXT, ONES.astype(np.float64)), "text_emb is float64"),
        (replace(TEXT, ONES.astype(">f4")), "text_emb is >f4"),
        (replace(TEXT, with_one(ONES, np.nan)), "text_emb of 'gun' holds numbers that are NaN"),
        (replace(TEXT, with_one(ONES, -np.inf)), "text_emb of 'gun' holds numbers that are NaN"),
        (replace(TEXT, with_one(ONES, 1e5)), "beyond half precision"),
        (replace(IMAGE, FRAMES[0]), "img_emb has the shape (2, 768), not (1, n_frames, 768)"),
        (replace(IMAGE, FRAMES[:, :0]), "img_emb has 0 frames"),
        (replace(IMAGE, FRAMES[:, :, :512]), "img_emb has the last dimension 512"),
        (replace(IMAGE, FRAMES.astype(np.float16)), "img_emb is float16"),
        (replace(IMAGE, np.repeat(FRAMES, 2, 0)), "img_emb has the shape (2, 2, 768)"),
        (replace(IMAGE, with_one(FRAMES, np.nan)), "img_emb holds numbers that are NaN"),
        (lambda f: f.__delitem__(TEXT), "has no text_emb"),
        (lambda f: f.__delitem__("m3_0001"), "is not in the file"),
        (replace("m3_0001", np.ones(3)), "m3_0001 is a dataset"),
        (lambda f: f[TEXT].attrs.update(spans=np.zeros((2, 4), int)), "places outside the text"),
        (lambda f: f[TEXT].attrs.update(spans=np.ones((2, 3), int)), "four whole numbers a row"),
        (lambda f: f[TEXT].attrs.update(spans="x"), "four whole numbers a row"),
        (lambda f: f[TEXT].attrs.update(spans=[[9, 0, 1, 0], [197, 0, 1, 0]]), "outside the text"),
    ],
)
def test_features(foreign, change, message):
    folder, _ = foreign
    with h5py.File(folder / "clean_feat.h5", "r+") as file:
        change(file)
    refused(folder, "m3_0001", message)


def unwritten(file: h5py.File) -> None:
    del file[IMAGE]
    file.create_dataset(IMAGE, (1, 2, 768), np.float32)


def enormous(file: h5py.File) -> None:
    del file[IMAGE]
    many = np.zeros((1, 10_001, 768), np.float32)
    file.create_dataset(IMAGE, data=many, chunks=(1, 100, 768), compression="gzip")


def great_chunks(file: h5py.File) -> None:
    del file[IMAGE]
    file.create_dataset(IMAGE, (1, 2, 768), np.float32, maxshape=(None, None, None),
                        chunks=(1, 200_000, 768), compression="gzip")  # fmt: skip


def soft(file: h5py.File) -> None:
    del file["m3_0001"]
    file["m3_0001"] = h5py.SoftLink("/m4_0001")


def external(file: h5py.File) -> None:
    del file[IMAGE]
    file[IMAGE] = h5py.ExternalLink("secret.h5", "img_emb")


def raw(file: h5py.File) -> None:
    del file[IMAGE]
    file.create_dataset(IMAGE, (1, 2, 768), np.float32, external=[("secret.h5", 0, 6144)])


def virtual(file: h5py.File) -> None:
    del file[IMAGE]
    layout = h5py.VirtualLayout((1, 2, 768), np.float32)
    layout[:] = h5py.VirtualSource("secret.h5", "img_emb", (1, 2, 768))
    file.create_virtual_dataset(IMAGE, layout)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unwritten, "img_emb was never written"),
        (enormous, "img_emb has 10001 frames"),
        (great_chunks, "chunks of more than 256 MiB"),
        (soft, "m3_0001 is a link to another place"),
        (external, "img_emb is a link to another place"),
        (raw, "has its numbers in another file"),
        (virtual, "has its numbers in another file"),
    ],
)
def test_hostile_features(foreign, change, message, monkeypatch):
    folder, _ = foreign
    monkeypatch.chdir(folder)  # where the file they lead to would be found
    with h5py.File(folder / "secret.h5", "w") as file:
        file["img_emb"] = FRAMES
    with h5py.File(folder / "clean_feat.h5", "r+") as file:
        change(file)
    refused(folder, "val_data.json, 'm3_0001'", message)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"format": 99}, "written in format 99"),
        ({"format": 1}, "damaged attributes"),
        ({"format": 1, "encoders": "{"}, "damaged attributes"),
        ({"format": 1, "encoders": "[" * 5000}, "damaged attributes"),
        ({"format": 1, "encoders": '{"text": {"dim": 3}, "image": {"dim": 3}}'}, "damaged"),
        ({"format": [1, 2]}, "damaged attributes"),
    ],
)
def test_damaged_attributes(foreign, attributes, message):
    folder, _ = foreign
    with h5py.File(folder / "clean_feat.h5", "r+") as file:
        file.attrs.update(attributes)
    refused(folder, message)


def test_no_hdf5_file(foreign):
    folder, _ = foreign
    path = folder / "clean_feat.h5"
    whole = path.read_bytes()
    for data in (b"", b"no features", whole[: len(whole) // 2]):
        path.write_bytes(data)
        refused(folder, "clean_feat.h5: not a readable HDF5 file")
    path.unlink()
    refused(folder, "clean_feat.h5: no such file")


@pytest.mark.parametrize("at", [0.02, 0.3, 0.9])
def test_damaged_bytes_are_never_a_traceback(foreign, at):
    folder, _ = foreign
    path = folder / "clean_feat.h5"
    data = bytearray(path.read_bytes())
    draw = np.random.default_rng(int(at * 100))
    for place in draw.integers(0, 20_000, 400):
        data[int(place)] = int(draw.integers(0, 256))
    path.write_bytes(data)
    refused(folder)


def test_ten_problems_are_listed_and_the_others_counted(foreign):
    folder, files = foreign
    files["val_data"] = [{**files["val_data"][0], "id": f"x{i}_0001"} for i in range(13)]
    write_items(folder, files)
    message = refused(folder, "… and 3 more")
    assert message.count("is not in the file") == 10


def test_a_folder_without_files(tmp_path, capsys):
    assert main(["upstream", "read", str(tmp_path), "--workspace", str(tmp_path / "w")]) == 2
    assert "clean_feat.h5: no such file" in capsys.readouterr().err
    theirs(tmp_path / "LR")
    for path in (tmp_path / "LR").glob("*.json"):
        path.unlink()
    refused(tmp_path / "LR", "none of the official files is here (first_stage_data.json, ")


def test_records_of_a_clip_that_contradict_each_other(tmp_path):
    a = clip("a_0", 1)
    rows = record(a, "source_train", ["x"], [1]) + record(a, "target_dev", ["x", "y"], [1, 0])
    workspace = put(tmp_path / "films", [a], rows, [])
    features(workspace, (3, 2))
    write(WriteConfig(workspace.root, tmp_path / "LR", any_dimension=True))
    with h5py.File(tmp_path / "LR/clean_feat.h5", "r+") as file:
        file["a_0-target/text_emb"][0, 0, 0] += 1
    refused(tmp_path / "LR", "'x' has other features than in another record")
    with h5py.File(tmp_path / "LR/clean_feat.h5", "r+") as file:
        file["a_0-target/text_emb"][0, 0, 0] -= 1
        del file["a_0-target/img_emb"]
        file["a_0-target/img_emb"] = file["a_0-source/img_emb"][:] + 1
    refused(tmp_path / "LR", "a_0-target has other frames than a_0-source")


def test_rows_of_text_beyond_the_tags_are_counted(foreign, capsys):
    folder, _ = foreign
    with h5py.File(folder / "clean_feat.h5", "r+") as file:
        replace(TEXT, np.repeat(ONES, 3, 0))(file)
        file["m7_0001/text_emb"] = ONES
    run(ReadConfig(folder.parent / "w", folder))
    out = capsys.readouterr().out
    assert "rows of text_emb without a tag, left out: 4" in out
    assert "ids in clean_feat.h5 that no file lists: 1" in out
    assert FeatureStore(folder.parent / "w/features").manifest["counts"]["texts"] == 10


def test_a_failed_reading_leaves_the_workspace_as_it_was(tmp_path):
    folder, root = tmp_path / "LR", tmp_path / "w"
    write(WriteConfig(films(tmp_path / "films", (3, 2)).root, folder, any_dimension=True))
    run(ReadConfig(root, folder))
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    with h5py.File(folder / "clean_feat.h5", "r+") as file:
        file["c_0-target/text_emb"][0, 0, 0] = np.nan
    with pytest.raises(UserError, match="NaN"):
        run(ReadConfig(root, folder))
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before
