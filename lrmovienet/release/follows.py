"""What may follow on what is published: a release on disk beside one on the Hub.

Nothing here asks the Hub. What is published under a version stays as it is, versions only rise, and
who belongs to a split changes with the major version alone: numbers measured on a test set that
moved could not be compared.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrmovienet.files import sha256_file
from lrmovienet.release.layout import CARD, MANIFEST, Release
from lrmovienet.release.remote import Remote, Stored
from lrmovienet.release.versions import number, refusal

OTHERS = {".gitattributes", "LICENSE", CARD}
"""What a dataset on the Hub holds before a release is put there."""

NEW, CHANGED, UNCHANGED, DELETED, UNKNOWN = "new", "changed", "unchanged", "deleted", "not asked"


@dataclass(frozen=True)
class Local:
    """A file of the release."""

    path: Path
    size: int
    """Bytes."""
    sha256: str

    def is_stored_as(self, stored: Stored | None) -> bool:
        """Whether this is what the Hub holds."""
        if stored is None or stored.size != self.size:
            return False
        if stored.sha256 is not None:
            return stored.sha256 == self.sha256
        return stored.blob == git_blob(self.path)


def tag_of(release: Release) -> str:
    """The tag of a release's version."""
    return f"v{release.version}"


def files_of(release: Release) -> dict[str, Local]:
    """Place in the repository -> file: what the manifest names, and the manifest."""
    hashes = {name: str(of["sha256"]) for name, of in release.manifest["files"].items()}
    hashes[MANIFEST] = sha256_file(release.root / MANIFEST)
    return {
        name: Local(path := release.root / name, path.stat().st_size, hashes[name])
        for name in sorted(hashes)
    }


def git_blob(path: Path) -> str:
    """The id that git gives a file's content."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def compared(local: Mapping[str, Local], remote: Remote | None) -> dict[str, str]:
    """Path -> new, changed, unchanged, or deleted, in the order of paths.

    Deleted is what the release on the Hub had and this one has not; a file that is of neither
    stays and is not listed.
    """
    there = remote.files if remote else {}
    states = {
        name: NEW if name not in there else UNCHANGED if file.is_stored_as(there[name]) else CHANGED
        for name, file in local.items()
    }
    older = read_manifest(remote.manifest) if remote and remote.manifest else None
    gone = {*(older["files"] if older else ())} & there.keys() - local.keys()
    return dict(sorted({**states, **dict.fromkeys(gone, DELETED)}.items()))


def refusals(release: Release, local: Mapping[str, Local], remote: Remote) -> list[str]:
    """Why this release must not follow what is on the Hub. Empty where it may."""
    problems = []
    if remote.manifest is not None:
        older = read_manifest(remote.manifest)
        if older is None:
            problems.append(f"its {MANIFEST} is not a release's. Give a dataset of its own.")
        elif why := refusal(release.manifest, older):
            problems.append(why)
    elif strange := sorted(remote.files.keys() - OTHERS):
        problems.append(
            f"it holds files but no release: {', '.join(strange[:10])}. Give a dataset of its own."
        )
    tag = tag_of(release)
    if remote.tagged is not None:
        other = [n for n, file in local.items() if not file.is_stored_as(remote.tagged.get(n))]
        if other:
            problems.append(
                f"the tag {tag} is there and holds another content ({', '.join(other[:10])}). What "
                "is published under a version stays as it is: build with a higher version."
            )
    return problems


def read_manifest(data: bytes) -> dict[str, Any] | None:
    """A published manifest, where it has all that we compare; None where it is no release's."""
    try:
        manifest = json.loads(data)
        whole = (
            isinstance(manifest["digest"], str)
            and number(manifest["version"]) is not None
            and all(isinstance(of["membership"], str) for of in manifest["splits"].values())
            and isinstance(manifest["files"], dict)
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return manifest if whole else None
