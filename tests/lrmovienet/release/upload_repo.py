"""What a dataset hub of the tests keeps, and what it insists on in what it is sent."""

import base64
import binascii
import fnmatch
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import NamedTuple

import yaml

LARGE = ("*.parquet", "*.h5", "*.bin")
ATTRIBUTES = "".join(f"{p} filter=lfs diff=lfs merge=lfs -text\n" for p in LARGE).encode()
LARGEST_REGULAR = 10 * 2**20


class Fault(NamedTuple):
    """What happens to the n-th request (from 1) whose "METHOD path" matches."""

    match: str
    how: object
    """A status; or cut (in the request's middle), lost (done, not answered), half (done,
    answered by half), hold (till `let_go`), drop (as well, and then not done)."""
    nth: int = 1
    headers: tuple = ()


class Refused(Exception):
    def __init__(self, status, message, code="", **more):
        super().__init__(message)
        self.status, self.code, self.more = status, code, more


class Blob(NamedTuple):
    data: bytes
    large: bool

    @property
    def sha256(self):
        return hashlib.sha256(self.data).hexdigest()

    @property
    def oid(self):
        """Git's id: of the content, or of the pointer to it."""
        kept = self.data
        if self.large:
            kept = (f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\n"
                    f"size {len(self.data)}\n").encode()  # fmt: skip
        return hashlib.sha1(b"blob %d\0" % len(kept) + kept).hexdigest()


@dataclass
class Repo:
    private: bool
    commits: dict = field(default_factory=dict)  # sha -> (parent, summary, {path: Blob})
    branches: dict = field(default_factory=dict)
    tags: dict = field(default_factory=dict)
    objects: dict = field(default_factory=dict)  # sha256 -> bytes

    def add(self, branch, files, summary):
        parent = self.branches.get(branch)
        content = [parent, summary, sorted((p, b.oid) for p, b in files.items())]
        sha = hashlib.sha1(json.dumps(content).encode()).hexdigest()
        self.commits[sha] = (parent, summary, files)
        self.branches[branch] = sha
        return sha

    def find(self, revision):
        """The commit of a branch, a tag or a commit; None for no such thing."""
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        return sha if sha in self.commits else None

    def files(self, revision="main"):
        """Path -> bytes, without the file that each repository begins with."""
        blobs = self.commits[self.find(revision)][2]
        return {path: b.data for path, b in blobs.items() if path != ".gitattributes"}


def fields(value, needed, optional=()):
    """A JSON object that has all of the one and none but the other fields."""
    if not isinstance(value, dict) or not set(needed) <= set(value) <= {*needed, *optional}:
        raise Refused(400, f"expected the fields {sorted(needed)}, got {value!r:.200}")
    return value


def from_base64(text):
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, "not base64") from None


def checked_path(path):
    parts = path.split("/") if isinstance(path, str) else [""]
    if {"", ".", "..", ".git"} & set(parts):
        raise Refused(400, f"no path of a file: {path!r}")
    return path


def is_large(path, sample, size):
    named = any(fnmatch.fnmatch(path.split("/")[-1], pattern) for pattern in LARGE)
    return size > 0 and (named or b"\0" in sample or size > LARGEST_REGULAR)


def validate_card(text):
    """What of a card's YAML the Hub is known to insist on."""
    match = re.match(r"---\n(.*?)\n---(?:\n|$)", text, re.DOTALL)
    try:
        content = yaml.safe_load(match[1]) if match else {}
    except yaml.YAMLError:
        content = None
    wrong = [] if isinstance(content, dict) else ["the YAML between the dashes cannot be read"]
    if not wrong and not isinstance(content.get("configs", []), list):
        wrong = ['"configs" must be an array']
    if wrong:
        errors = [{"message": message} for message in wrong]
        raise Refused(400, wrong[0], errors=errors, warnings=[])
