"""Small folders that look like releases, and a way to send them to a hub of the tests."""

import hashlib
import json
import sys
import types
from pathlib import Path

from huggingface_hub import constants
from upload_server import WRITER

from lrmovienet.files import sha256_of
from lrmovienet.release.publish import PublishConfig, run

REPO = "films/labels"
CARD = b"---\nlicense: other\nconfigs:\n- config_name: clips\n---\n# Labels\n"
FILES = {
    "README.md": CARD,
    "croissant.json": b"{}\n",
    "eval.yaml": b"split: target_test\n",
    "leaks.json": b"",  # empty: large-file storage takes no empty files
    "clips/clips.parquet": b"PAR1 clips \0 PAR1",
    "relevance/target_test.parquet": b"PAR1 test \0 PAR1" * 1000,
}
SPLITS = {"source_train": "a" * 64, "target_test": "b" * 64}


def small_release(root, version="1.0.0", splits=SPLITS, **changed):
    """Write a folder with a manifest. `changed` has other contents, by name; None leaves one out.

    Names are given with ``__`` for ``/`` and ``_`` for ``.``: ``relevance__more_parquet``.
    """
    files = dict(FILES)
    for name, data in changed.items():
        stem, _, ending = name.replace("__", "/").rpartition("_")
        files[f"{stem}.{ending}"] = data
    files = {name: data for name, data in files.items() if data is not None}
    listed = {}
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        listed[name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest = {
        "format": 1, "version": version, "files": listed,
        "digest": sha256_of(sorted((n, of["sha256"]) for n, of in listed.items())),
        "splits": {name: {"membership": of} for name, of in splits.items()},
    }  # fmt: skip
    (root / "manifest.json").write_text(json.dumps(manifest))
    return root


def contents(root):
    """Path -> bytes of a folder."""
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in Path(root).rglob("*")
            if p.is_file()}  # fmt: skip


def only_hashes(release):
    """Stands in for `lrmovienet.release.check`, which wants a release with real rows."""
    there, problems = contents(release.root), []
    for name, of in release.manifest["files"].items():
        if hashlib.sha256(there.pop(name, b"")).hexdigest() != of["sha256"]:
            problems.append(f"{name}: not as built")
    del there["manifest.json"]
    return problems + [f"{name}: does not belong here" for name in there]


def at_hub(hub, folder, monkeypatch, token=WRITER, checked=False):
    """Make a fresh hub this process's Hub, with nothing of the user's own. Returns the pauses.

    Unless `checked`, only the hashes of a release are looked at before it is sent.
    """
    hub.reset()
    pauses = []
    for name, value in (
        ("ENDPOINT", hub.url),
        ("HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"),
        ("HF_HUB_DISABLE_XET", True), ("HF_HUB_OFFLINE", False),
        ("HF_TOKEN_PATH", str(folder / "no-token")),
        ("AGENT_HARNESSES_PATH", str(folder / "harnesses")),
    ):  # fmt: skip
        monkeypatch.setattr(constants, name, value, raising=False)  # not every version has all
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    clock = types.SimpleNamespace(sleep=pauses.append)  # the library's own pauses
    monkeypatch.setattr("huggingface_hub.utils._http.time", clock)
    if not checked:
        check = types.ModuleType("lrmovienet.release.check")
        check.check = only_hashes
        monkeypatch.setitem(sys.modules, "lrmovienet.release.check", check)
    return pauses


def publish(root, sleep=lambda _: None, **options):
    """Send it, without waiting between attempts."""
    run(PublishConfig(**{"release": root, "repo": REPO, "dry_run": False} | options), sleep)
