"""Publishing: what arrives, what a dry run shows, and that the same command again sends nothing."""

import huggingface_hub
import pytest
from publish_files import FILES, REPO, at_hub, contents, only_hashes, publish, small_release
from upload_repo import Blob
from upload_server import READER, STRANGER, UploadHub

from lrmovienet.errors import UserError
from lrmovienet.release.layout import Release


@pytest.fixture(scope="module")
def hub():
    with UploadHub().running() as hub:
        yield hub


@pytest.fixture(autouse=True)
def fresh(hub, tmp_path, monkeypatch):
    at_hub(hub, tmp_path, monkeypatch)


@pytest.fixture
def release(tmp_path):
    return small_release(tmp_path / "release")


def rows(printed):
    """File -> what the table says of it."""
    cells = [line.strip("│").split("│") for line in printed.splitlines() if line.startswith("│")]
    return {name.strip(): state.strip() for name, _, state in cells}


def test_every_file_arrives_and_the_tag_names_its_commit(hub, release, capsys):
    publish(release)
    repo = hub.repos[REPO]
    assert repo.files() == contents(release)
    assert repo.private
    assert repo.tags == {"v1.0.0": repo.branches["main"]}
    assert len(repo.commits) == 2  # the one with which the Hub begins, and ours
    assert repo.commits[repo.branches["main"]][1] == "LRMovieNet 1.0.0"
    large = {p for p, blob in repo.commits[repo.branches["main"]][2].items() if blob.large}
    assert large == {"clips/clips.parquet", "relevance/target_test.parquet"}
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"{hub.url}/datasets/{REPO}/tree/v1.0.0"
    assert repo.branches["main"] in out


def test_what_arrived_downloads_again_as_the_release_it_was(hub, release, tmp_path):
    publish(release)
    where = huggingface_hub.snapshot_download(
        REPO, repo_type="dataset", revision="v1.0.0", endpoint=hub.url, local_dir=tmp_path / "again"
    )
    again = Release.open(tmp_path / "again")
    assert str(again.root) == where
    assert again.digest == Release.open(release).digest
    for name in (".gitattributes", ".cache"):  # which the download adds
        path = again.root / name
        path.rename(tmp_path / name)
    assert contents(again.root) == contents(release)
    assert only_hashes(again) == []


def test_the_same_command_again_sends_nothing(hub, release, capsys):
    publish(release)
    before = hub.repos[REPO].commits.copy()
    hub.asked.clear()
    hub.events.clear()
    capsys.readouterr()
    publish(release)
    assert {line.split()[0] for line in hub.asked} == {"GET", "HEAD"}
    assert hub.events == []
    assert hub.repos[REPO].commits == before
    out = capsys.readouterr().out
    assert rows(out) == dict.fromkeys([*FILES, "manifest.json"], "unchanged")
    assert "7 unchanged; 0 bytes to send" in out
    assert out.splitlines()[-1] == f"{hub.url}/datasets/{REPO}/tree/v1.0.0"


def test_the_next_version_sends_what_changed_and_takes_away_what_is_gone(hub, release, tmp_path):
    publish(release)
    repo = hub.repos[REPO]
    first = repo.branches["main"]
    with_more = repo.commits[first][2] | {"LICENSE": repo.commits[first][2]["eval.yaml"]}
    repo.add("main", with_more, "somebody adds a licence")
    later = small_release(
        tmp_path / "later", "1.1.0", eval_yaml=None, clips__clips_parquet=b"PAR1 more \0 PAR1",
        copy_parquet=FILES["relevance/target_test.parquet"],
    )  # fmt: skip
    hub.events.clear()
    publish(later)
    assert repo.files() == contents(later) | {"LICENSE": FILES["eval.yaml"]}
    assert repo.files("v1.0.0") == contents(release)
    assert repo.tags == {"v1.0.0": first, "v1.1.0": repo.branches["main"]}
    # The copy has a new name and an old content, which is there already.
    assert [kind for kind, _ in hub.events] == ["object", "commit", "tag"]


def test_a_commit_has_the_name_and_goes_to_the_branch_that_are_given(hub, release):
    repo = hub.new_repo(REPO)
    main = repo.branches["next"] = repo.branches["main"]
    start = repo.add("next", repo.commits[main][2] | {"LICENSE": Blob(b"words", False)}, "begun")
    publish(release, revision="next", message="Clips: a first look")
    assert repo.branches["main"] == main
    parent, summary, _ = repo.commits[repo.branches["next"]]
    assert (parent, summary) == (start, "Clips: a first look")
    assert repo.files("next") == contents(release) | {"LICENSE": b"words"}
    assert repo.tags == {"v1.0.0": repo.branches["next"]}


def test_a_branch_that_is_not_there_is_told_with_those_that_are(hub, release):
    repo = hub.new_repo(REPO)
    repo.branches["next"] = repo.branches["main"]
    with pytest.raises(UserError, match="has no branch 'nxet'; it has main, next"):
        publish(release, revision="nxet")
    assert hub.events == []


@pytest.mark.parametrize("private", [True, False])
def test_a_new_dataset_is_as_private_as_asked(hub, release, private, capsys):
    publish(release, private=private)
    assert hub.repos[REPO].private is private
    assert f"it is made {'private' if private else 'public'}" in capsys.readouterr().out


@pytest.mark.parametrize("private", [True, False])
def test_a_dataset_that_is_there_stays_as_private_as_it_is(hub, release, private, capsys):
    hub.new_repo(REPO, private=not private)
    publish(release, private=private)
    assert hub.repos[REPO].private is not private
    assert f"a {'public' if private else 'private'} dataset, and stays so" in (
        capsys.readouterr().out
    )


# --- a dry run ---


def test_a_dry_run_changes_nothing_and_needs_no_token(hub, release, tmp_path, monkeypatch, capsys):
    publish(release, private=False)
    monkeypatch.delenv("HF_TOKEN")
    later = small_release(
        tmp_path / "later", "1.1.0", eval_yaml=None, leaks_json=b"{}", more_json=b"[1, 2]"
    )
    commits, tags = dict(hub.repos[REPO].commits), dict(hub.repos[REPO].tags)
    hub.asked.clear()
    hub.events.clear()
    capsys.readouterr()
    publish(later, dry_run=True)
    assert {line.split()[0] for line in hub.asked} == {"GET", "HEAD"}
    assert hub.events == []
    assert (hub.repos[REPO].commits, hub.repos[REPO].tags) == (commits, tags)
    out = capsys.readouterr().out
    assert rows(out) == {
        "README.md": "unchanged", "clips/clips.parquet": "unchanged", "croissant.json": "unchanged",
        "eval.yaml": "deleted", "leaks.json": "changed", "manifest.json": "changed",
        "more.json": "new", "relevance/target_test.parquet": "unchanged",
    }  # fmt: skip
    size = 2 + 6 + (later / "manifest.json").stat().st_size
    assert f"4 unchanged, 1 deleted, 2 changed, 1 new; {size:,} bytes to send" in out
    assert "nothing was sent; --dry_run false sends it" in out


def test_a_dry_run_for_a_dataset_that_is_not_there(hub, release, monkeypatch, capsys):
    publish(release, dry_run=True)
    out = capsys.readouterr().out
    assert rows(out) == dict.fromkeys([*FILES, "manifest.json"], "new")
    assert f"{REPO}: not there yet; it would be made private" in out
    monkeypatch.delenv("HF_TOKEN")
    publish(release, dry_run=True)
    assert "not there yet, or private and unseen without logging in" in capsys.readouterr().out
    assert hub.repos == {}


def test_a_dry_run_says_what_would_be_refused(hub, release, tmp_path, capsys):
    publish(release)
    other = small_release(tmp_path / "other", more_json=b"1")
    capsys.readouterr()
    with pytest.raises(UserError, match=r"version 1\.0\.0 is there with another content"):
        publish(other, dry_run=True)
    assert rows(capsys.readouterr().out)["more.json"] == "new"


def test_a_dry_run_without_a_hub_shows_this_side(release, tmp_path, capsys):
    with UploadHub().running() as gone:
        pass  # so that nobody listens there any more
    pauses = []
    publish(release, pauses.append, dry_run=True, endpoint=gone.url)
    assert pauses == []
    out = capsys.readouterr().out
    assert rows(out) == dict.fromkeys([*FILES, "manifest.json"], "not asked")
    last = out.splitlines()[-1]
    assert last.startswith(f"the Hub was not asked: no answer from 127.0.0.1:{gone.port} (")


def test_a_dry_run_in_offline_mode_asks_nobody(hub, release, monkeypatch, capsys):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    publish(release, dry_run=True)
    assert hub.asked == []
    assert "the Hub was not asked: offline mode is on (HF_HUB_OFFLINE)" in capsys.readouterr().out
    pauses = []
    with pytest.raises(UserError, match=r"offline mode is on \(HF_HUB_OFFLINE\)"):
        publish(release, pauses.append)
    assert pauses == []


# --- who asks ---


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (None, r"does not know who asks \(401 Unauthorized: Invalid username or password\.\)"),
        ("hf_unknownunknown", r"does not take the token \(401 Unauthorized: Invalid credentials"),
        (READER, r"does not let you do this \(403 Forbidden: You don't have the rights"),
        (STRANGER, r"does not let you do this \(403 Forbidden: You don't have the rights"),
    ],
)
@pytest.mark.parametrize("there", [True, False])
def test_who_may_not_write_is_told_to_log_in(
    hub, release, monkeypatch, token, expected, there, capfd
):
    if there:
        hub.new_repo(REPO, private=False)
    monkeypatch.setenv("HF_TOKEN", token or "")
    pauses = []
    with pytest.raises(UserError, match=expected) as error:
        publish(release, pauses.append)
    assert f"{REPO}: " in str(error.value)
    assert "`hf auth login`, or set HF_TOKEN" in str(error.value)
    assert "\n" not in str(error.value)
    assert token is None or token not in str(error.value) + "".join(capfd.readouterr())
    assert (hub.events, pauses) == ([], [])


@pytest.mark.parametrize("token", ["hf_gréat", "hf_two words", "hf_a\tb"])
def test_a_token_that_no_header_can_hold_is_not_sent(hub, release, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError, match="the token holds characters that no token has") as error:
        publish(release)
    assert token not in str(error.value)
    assert hub.asked == []


@pytest.mark.parametrize(
    "repo",
    ["labels", "", "/labels", "films/", "a/b/c", "films/la bels", "films/..", "films/a--b",
     "films/é", "films/x.git", ".films/x", "films/" + "x" * 100, "films/x\n",
     "https://huggingface.co/datasets/films/labels", "datasets/films/labels"],
)  # fmt: skip
def test_a_name_that_no_dataset_can_have_is_refused(hub, release, repo):
    with pytest.raises(UserError, match=r"--repo .*: not a repository's name\. Give owner/name"):
        publish(release, repo=repo)
    assert hub.asked == []


@pytest.mark.parametrize(
    "endpoint",
    ["", "hub.example", "ftp://hub.example", "https://", "http://[::1", "http://h:99999999",
     "https://me:hf_secretsecret@hub.example", "https://hf_secretsecret@hub.example",
     "https://hub.example?token=hf_secretsecret", "https://hub.example#hf_secretsecret"],
)  # fmt: skip
def test_an_address_that_is_no_hub_s_is_not_repeated(hub, release, endpoint):
    with pytest.raises(UserError, match=r"--endpoint .*: not the address of a Hub") as error:
        publish(release, endpoint=endpoint)
    assert "secret" not in str(error.value)
    assert hub.asked == []


def test_options_that_are_empty(release):
    with pytest.raises(UserError, match="--message is empty"):
        publish(release, message=" ")
    with pytest.raises(UserError, match="--revision is empty"):
        publish(release, revision="")


# --- with the storage that this hub has not ---


def test_small_files_go_the_same_way_where_xet_is_on(hub, tmp_path, monkeypatch):
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", False)
    small = small_release(
        tmp_path / "small", clips__clips_parquet=None, relevance__target_test_parquet=None
    )
    publish(small)
    assert hub.repos[REPO].files() == contents(small)
    assert hub.repos[REPO].tags == {"v1.0.0": hub.repos[REPO].branches["main"]}


@pytest.mark.skipif(
    int(huggingface_hub.__version__.split(".")[0]) < 2,
    reason="before 2.0 the answer to the LFS batch decided, and here that is never Xet",
)
def test_large_files_ask_for_xet_and_are_told_that_it_is_not_there(hub, release, monkeypatch):
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", False)
    with pytest.raises(UserError, match=rf"^{REPO}: .*404 .*xet-write-token"):
        publish(release)
    assert hub.repos[REPO].files() == {}
    assert sum("xet-write-token" in line for line in hub.asked) == 1


# --- a folder that is not as it was built ---


def damage_changed(root):
    (root / "clips/clips.parquet").write_bytes(b"PAR1 clipz \0 PAR1")


def damage_card(root):
    (root / "README.md").write_text((root / "README.md").read_text() + "And more.\n")


def damage_gone(root):
    (root / "eval.yaml").unlink()


def damage_extra(root):
    (root / "notes.txt").write_text("do not publish")


def damage_link(root):
    (root.parent / "elsewhere").mkdir()
    (root.parent / "elsewhere/secret.txt").write_text("x")
    (root / "more").symlink_to(root.parent / "elsewhere", target_is_directory=True)


def damage_linked_manifest(root):
    (root / "manifest.json").rename(root.parent / "manifest.json")
    (root / "manifest.json").symlink_to(root.parent / "manifest.json")


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (damage_changed, "clips/clips.parquet: not as built"),
        (damage_card, "README.md: not as built"),
        (damage_gone, "eval.yaml: not as built"),
        (damage_extra, "notes.txt: does not belong here"),
        (damage_link, "more: a link that leads out of the folder"),
        (damage_linked_manifest, "manifest.json: a link that leads out of the folder"),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_folder_that_is_not_as_it_was_built_is_not_sent(hub, release, damage, named, dry_run):
    damage(release)
    with pytest.raises(UserError, match="not as it was built, so nothing was sent") as error:
        publish(release, dry_run=dry_run)
    assert str(error.value).splitlines()[1].startswith(f"  {named}")
    assert hub.asked == []


def test_ten_problems_of_many_are_listed(release):
    for i in range(13):
        (release / f"note{i:02}.txt").write_text("x")
    with pytest.raises(UserError) as error:
        publish(release)
    lines = str(error.value).splitlines()
    assert len(lines) == 12
    assert lines[-1] == "  … and 3 more"


def test_a_version_that_is_no_number_is_not_sent(hub, tmp_path):
    with pytest.raises(UserError, match=r"not a release's manifest"):
        publish(small_release(tmp_path / "draft", "draft"))
    assert hub.asked == []
