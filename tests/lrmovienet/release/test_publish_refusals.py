"""What may follow on what is published, and what would break the numbers of others."""

import hashlib
import json
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from publish_files import REPO, SPLITS, at_hub, contents, publish, small_release
from upload_repo import Blob
from upload_server import UploadHub

from lrmovienet.errors import UserError
from lrmovienet.release.discreet import hidden
from lrmovienet.release.follows import Local, compared, files_of, git_blob, read_manifest
from lrmovienet.release.layout import Release
from lrmovienet.release.remote import Remote, Stored


@pytest.fixture(scope="module")
def hub():
    with UploadHub().running() as hub:
        yield hub


@pytest.fixture(autouse=True)
def fresh(hub, tmp_path, monkeypatch):
    at_hub(hub, tmp_path, monkeypatch)


def refused(hub, root, expected, **options):
    """It is refused by a message with these words, and the Hub stays as it was."""
    before = [(dict(r.commits), dict(r.tags), dict(r.branches)) for r in hub.repos.values()]
    hub.events.clear()
    with pytest.raises(UserError, match=expected) as error:
        publish(root, **options)
    assert f"{REPO}, branch main: nothing was sent:" in str(error.value)
    assert hub.events == []
    assert before == [(r.commits, r.tags, r.branches) for r in hub.repos.values()]


MOVED = SPLITS | {"target_test": "c" * 64}
LESS = {"source_train": "a" * 64}
MORE = SPLITS | {"target_dev": "d" * 64}


@pytest.mark.parametrize(
    ("first", "then", "splits", "changed", "expected"),
    [
        ("1.0.0", "1.0.0", SPLITS, {"more_json": b"1"}, r"version 1\.0\.0 is there with another"),
        ("1.2.0", "1.1.9", SPLITS, {}, r"version 1\.2\.0 is higher than 1\.1\.9"),
        ("1.10.0", "1.9.0", SPLITS, {}, r"version 1\.10\.0 is higher than 1\.9\.0"),
        ("2.0.0", "1.99.99", MOVED, {}, r"version 2\.0\.0 is higher"),
        ("1.0.0", "1.0.1", MOVED, {}, r"belongs to `target_test` is not .* version: 2\.0\.0"),
        ("1.0.0", "1.9.0", MOVED, {}, r"belongs to `target_test` is not .* version: 2\.0\.0"),
        ("0.1.0", "0.2.0", MOVED, {}, r"belongs to `target_test` is not .* version: 1\.0\.0"),
        ("1.0.0", "1.1.0", LESS, {}, r"belongs to `target_test` is not .* version: 2\.0\.0"),
        ("1.0.0", "1.0.1", SPLITS, {"more_json": b"1"}, None),
        ("1.9.0", "1.10.0", SPLITS, {}, None),
        ("1.0.0", "2.0.0", MOVED, {}, None),
        ("1.0.0", "2.0.0", LESS, {}, None),
        ("1.0.0", "1.1.0", MORE, {}, None),
    ],
)
def test_versions_rise_and_splits_move_with_the_major_one(
    hub, tmp_path, first, then, splits, changed, expected
):
    publish(small_release(tmp_path / "first", first))
    later = small_release(tmp_path / "later", then, splits, **changed)
    if expected:
        refused(hub, later, expected)
        refused(hub, later, expected, dry_run=True)
    else:
        publish(later)
        assert hub.repos[REPO].files() == contents(later)
        assert set(hub.repos[REPO].tags) == {f"v{first}", f"v{then}"}


def test_a_tag_is_never_moved(hub, tmp_path):
    old = small_release(tmp_path / "old", more_json=b"1")
    publish(old)
    repo = hub.repos[REPO]
    repo.branches["main"] = repo.commits[repo.branches["main"]][0]  # somebody takes it back
    again = small_release(tmp_path / "again")
    refused(hub, again, r"the tag v1\.0\.0 is there and holds another content \(manifest\.json\)")
    assert repo.files("v1.0.0") == contents(old)
    publish(old)
    assert repo.files() == repo.files("v1.0.0") == contents(old)


def test_a_tag_of_the_same_content_on_another_commit_stays(hub, tmp_path, capsys):
    release = small_release(tmp_path / "release")
    publish(release)
    repo = hub.repos[REPO]
    tagged = repo.tags["v1.0.0"]
    repo.add("main", repo.commits[tagged][2] | {"LICENSE": Blob(b"words", False)}, "a licence")
    hub.events.clear()
    capsys.readouterr()
    publish(release)
    assert (hub.events, repo.tags) == ([], {"v1.0.0": tagged})
    assert f"published as v1.0.0, commit {tagged}\n" in capsys.readouterr().out


def test_another_manifest_of_a_tagged_version_is_refused(hub, tmp_path):
    release = small_release(tmp_path / "release")
    publish(release)
    manifest = json.loads((release / "manifest.json").read_bytes())
    (release / "manifest.json").write_text(json.dumps(manifest | {"code_version": "9"}))
    refused(hub, release, r"tag v1\.0\.0 is there and holds another content \(manifest\.json\)")


def test_a_file_that_somebody_changed_there_is_put_right(hub, tmp_path):
    release = small_release(tmp_path / "release")
    publish(release)
    repo = hub.repos[REPO]
    good = repo.commits[repo.branches["main"]][2]
    repo.add("main", good | {"README.md": Blob(b"---\na: 1\n---\nmine\n", False)}, "my words")
    hub.events.clear()
    publish(release)
    assert repo.files() == contents(release)
    assert [kind for kind, _ in hub.events] == ["commit"]  # the tag holds the release already


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({"data.csv": b"a,b\n"}, r"it holds files but no release: data\.csv"),
        ({"manifest.json": b"{}"}, r"its manifest\.json is not a release's"),
        ({"manifest.json": b"PNG\0"}, r"its manifest\.json is not a release's"),
        ({"README.md": b"# mine\n", "LICENSE": b"words"}, None),
    ],
)
def test_a_dataset_of_something_else_is_left_alone(hub, tmp_path, there, expected):
    repo = hub.new_repo(REPO)
    begun = repo.commits[repo.branches["main"]][2]
    repo.add("main", begun | {n: Blob(d, False) for n, d in there.items()}, "mine")
    release = small_release(tmp_path / "release")
    if expected:
        refused(hub, release, expected)
    else:
        publish(release)
        assert repo.files() == there | contents(release)


def test_a_commit_that_leaves_files_out_gets_no_tag(hub, tmp_path):
    release = small_release(tmp_path / "release")
    publish(release)
    repo = hub.repos[REPO]
    repo.add(
        "main", repo.commits[repo.branches["main"]][2] | {".gitignore": Blob(b"*.h5\n", False)}, "x"
    )
    later = small_release(tmp_path / "later", "1.1.0", features__features_h5=b"\x89HDF")
    with pytest.raises(UserError, match=r"does not hold what was sent: features/features\.h5\. "):
        publish(later)
    assert set(repo.tags) == {"v1.0.0"}
    kept = repo.commits[repo.branches["main"]][2]
    repo.add("main", {p: b for p, b in kept.items() if p != ".gitignore"}, "put right")
    publish(later)
    assert repo.files() == repo.files("v1.1.0") == contents(later)


def test_a_card_that_the_hub_does_not_take_is_told_in_its_words(hub, tmp_path):
    release = small_release(tmp_path / "release", README_md=b"---\nconfigs: clips\n---\n")
    with pytest.raises(UserError, match=r'metadata in README\.md\. - "configs" must be an array'):
        publish(release)
    assert [kind for kind, _ in hub.events] == ["create"]


# --- what is compared ---


def test_blob_ids_are_git_s(tmp_path):
    # The first two are known by heart to whoever looks into repositories.
    for data, expected in (
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
        (bytes(range(256)) * 99, None),
    ):
        (tmp_path / "file").write_bytes(data)
        git = subprocess.run(
            ["git", "hash-object", "--no-filters", "file"], cwd=tmp_path, capture_output=True
        )
        assert git_blob(tmp_path / "file") == git.stdout.decode().strip()
        assert expected in (None, git_blob(tmp_path / "file"))


def test_a_file_is_stored_where_size_and_hash_agree(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"hello\n")
    sha = hashlib.sha256(b"hello\n").hexdigest()
    blob = "ce013625030ba8dba906f756967f9e9ca394464a"
    file = Local(path, 6, sha)
    assert file.is_stored_as(Stored(6, blob))
    assert not file.is_stored_as(Stored(6, blob[:-1] + "b"))
    assert not file.is_stored_as(Stored(7, blob))
    assert not file.is_stored_as(None)
    # Of a large file the blob is a pointer's; what counts is the content.
    assert file.is_stored_as(Stored(6, "0" * 40, sha))
    assert not file.is_stored_as(Stored(6, blob, "0" * 64))


SOME_FILES = st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=2))


@given(there=SOME_FILES, mine=SOME_FILES, older=st.sets(st.sampled_from("abcdef")))
def test_doing_what_is_listed_gives_this_release_and_keeps_what_is_of_none(
    tmp_path_factory, there, mine, older
):
    root = tmp_path_factory.mktemp("files")
    local = {}
    for name, data in mine.items():
        (root / name).write_bytes(data)
        local[name] = Local(root / name, len(data), hashlib.sha256(data).hexdigest())
    manifest = {"version": "1.0.0", "digest": "", "splits": {}, "files": {n: {} for n in older}}
    stored = {n: Stored(len(d), Blob(d, n < "d").oid, Blob(d, n < "d").sha256 if n < "d" else None)
              for n, d in there.items()}  # fmt: skip
    states = compared(local, Remote(True, "", stored, {}, json.dumps(manifest).encode()))
    done = dict(there)
    for name, state in states.items():
        assert (state == "new") == (name in mine and name not in there)
        assert (state == "unchanged") == (name in mine and mine[name] == there.get(name))
        if state == "deleted":
            del done[name]
        elif state != "unchanged":
            done[name] = mine[name]
    assert done == {n: d for n, d in there.items() if n not in older} | mine


def test_every_file_of_a_release_is_sent_with_its_manifest(tmp_path):
    root = small_release(tmp_path / "release")
    files = files_of(Release.open(root))
    assert {name: file.path.read_bytes() for name, file in files.items()} == contents(root)
    for file in files.values():
        data = file.path.read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize(
    "change",
    [{"version": 1}, {"version": "1"}, {"digest": None}, {"splits": []}, {"splits": {"a": {}}},
     {"splits": {"a": {"membership": 1}}}, {"files": ["a"]}],
)  # fmt: skip
def test_a_manifest_that_lacks_what_is_compared_is_none(tmp_path, change):
    root = small_release(tmp_path / "release")
    manifest = json.loads((root / "manifest.json").read_bytes())
    assert read_manifest(json.dumps(manifest).encode()) == manifest
    assert read_manifest(json.dumps(manifest | change).encode()) is None
    for data in (b"", b"[]", b"null", b"\xff", b"[" * 100_000):
        assert read_manifest(data) is None


# --- secrets ---


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("no such file", "no such file"),
        ("Authorization: Bearer abc.def-1", "Authorization: Bearer …"),
        ("b'bearer abc', x", "b'bearer …', x"),
        ("token hf_aB3aB3aB3aB3 is", "token hf_… is"),
        ("GET https://me:pass@host/a b", "GET https://…@host/a b"),
        ("'https://s3/x?X-Amz-Signature=1&y=2' failed", "'https://s3/x?…' failed"),
        ("https://host/a and https://host/b", "https://host/a and https://host/b"),
        ("my secret word", "my … word"),
    ],
)
def test_what_opens_doors_is_hidden(said, shown):
    assert hidden(said, "secret") == shown
