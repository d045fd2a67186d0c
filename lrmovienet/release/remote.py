"""What `publish` asks of the Hugging Face Hub, and how it is told when that fails.

Every call of huggingface_hub is made here, and each one that fails ends in one of two ways: as
`NoAnswer` where asking again may help, as `UserError` where it will not. Neither names a token.
"""

import contextlib
import email.utils
import http
import logging
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from lrmovienet import __version__
from lrmovienet.errors import UserError, shorten
from lrmovienet.release.discreet import hidden, in_a_line
from lrmovienet.release.layout import MANIFEST

PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds between attempts; one attempt more than there are pauses."""
LONGEST_WAIT_S = 300.0
"""How long the Hub may ask us to wait before we leave it to the user to come back."""

LOGIN = "Log in with `hf auth login`, or set HF_TOKEN to a token that may write there."

_NAME = r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9_])?"
_REPO = re.compile(f"{_NAME}/{_NAME}", re.ASCII)

Answer = TypeVar("Answer")


class NoAnswer(Exception):
    """The Hub did not do what it was asked; asking again may help."""

    def __init__(self, reason: str, wait_s: float = 0, again: bool = True) -> None:
        super().__init__(reason)
        self.wait_s = wait_s
        """Seconds that the Hub asks us to wait."""
        self.again = again
        """Whether to ask again without anybody changing anything."""


@dataclass(frozen=True)
class Stored:
    """A file as the Hub lists it."""

    size: int
    """Bytes."""
    blob: str
    """Git's id of the file, or of the pointer to it where it is a large one."""
    sha256: str | None = None
    """Of the content; the Hub gives it for large files only."""


@dataclass(frozen=True)
class Remote:
    """A dataset on the Hub, as a branch of it is now."""

    private: bool
    head: str
    """The commit at which all of this was read."""
    files: dict[str, Stored]
    tags: dict[str, str]
    """Tag -> its commit."""
    manifest: bytes | None = None
    """A release's manifest, where there is one."""
    tagged: dict[str, Stored] | None = None
    """The files under the tag that was asked for, where there is such a tag."""


@dataclass(frozen=True)
class Hub:
    """One branch of one dataset repository. The methods raise NoAnswer and UserError."""

    repo: str
    revision: str
    api: Any
    token: str | None = field(repr=False)

    @classmethod
    def at(cls, repo: str, revision: str, endpoint: str | None) -> "Hub":
        """Name a repository; nothing is asked yet.

        Args:
            repo: owner/name.
            revision: a branch.
            endpoint: the Hub's address, or None for huggingface_hub's own (HF_ENDPOINT).

        Raises:
            UserError: the name, the address or the token cannot be one.
        """
        if not _REPO.fullmatch(repo) or len(repo) > 96 or re.search(r"--|\.\.|\.git$", repo):
            raise UserError(
                f"--repo {shorten(hidden(repo))}: not a repository's name. Give owner/name, such "
                "as my-group/my-dataset: letters, digits, '-', '_' and '.', no address."
            )
        if not revision.strip():
            raise UserError("--revision is empty. Give a branch, such as main.")
        from huggingface_hub import HfApi, get_token

        try:
            token = get_token()
        except Exception as error:  # of a login service; its text is not ours to trust
            reason = in_a_line(str(error))
            raise UserError(f"the token cannot be read ({reason}). {LOGIN}") from None
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise UserError(f"the token holds characters that no token has. {LOGIN}")
        api = HfApi(
            endpoint=endpoint and endpoint.rstrip("/"),
            token=token or False,
            library_name="lrmovienet",
            library_version=__version__,
        )
        _require_plain(str(api.endpoint))
        return cls(repo, revision, api, token)

    @property
    def url(self) -> str:
        """The dataset's page."""
        return f"{self.api.endpoint}/datasets/{self.repo}"

    def look(self, tag: str) -> Remote | None:
        """What is there now; None for no such repository, or none that we may see.

        Args:
            tag: the tag whose files to list as well, where there is one.
        """
        try:
            with self._told():
                private = bool(self.api.dataset_info(self.repo).private)
        except _NotThere:
            return None
        with self._told():
            refs = self.api.list_repo_refs(self.repo, repo_type="dataset")
        branches = {ref.name: str(ref.target_commit) for ref in refs.branches}
        if self.revision not in branches:
            raise UserError(
                f"{self.repo} has no branch {self.revision!r}; it has "
                f"{', '.join(sorted(branches))}. Make it on the Hub, or publish to one of these."
            )
        head = branches[self.revision]
        tags = {ref.name: str(ref.target_commit) for ref in refs.tags}
        files = self.files(head)
        tagged = None
        if tag in tags:
            tagged = files if tags[tag] == head else self.files(tags[tag])
        manifest = self._read(MANIFEST, head) if MANIFEST in files else None
        return Remote(private, head, files, tags, manifest, tagged)

    def files(self, commit: str) -> dict[str, Stored]:
        """Path -> file, of a commit."""
        with self._told():
            listed = list(
                self.api.list_repo_tree(
                    self.repo, recursive=True, revision=commit, repo_type="dataset"
                )
            )
            return {
                item.path: Stored(item.lfs.size, item.blob_id, item.lfs.sha256)
                if item.lfs
                else Stored(item.size, item.blob_id)
                for item in listed
                if hasattr(item, "blob_id")  # else a folder
            }

    def _read(self, name: str, commit: str) -> bytes:
        with tempfile.TemporaryDirectory() as cache, self._told():
            path = self.api.hf_hub_download(
                self.repo, name, repo_type="dataset", revision=commit, cache_dir=cache
            )
            return Path(path).read_bytes()

    def create(self, private: bool) -> None:
        """Make the repository; one that is there already stays as it is."""
        with self._told():
            self.api.create_repo(self.repo, private=private, repo_type="dataset", exist_ok=True)

    def commit(
        self, add: Mapping[str, Path], delete: Sequence[str], message: str, parent: str
    ) -> str:
        """Send files in one commit and return it.

        The Hub refuses it when the branch is no longer at `parent`: a commit whose answer got lost
        cannot be made twice.

        Args:
            add: place in the repository -> file.
            delete: places to be emptied.
            message: what the commit is called.
            parent: the commit that it follows.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        with self._told():
            operations: list[Any] = [CommitOperationDelete(n, is_folder=False) for n in delete]
            operations += [CommitOperationAdd(name, str(path)) for name, path in add.items()]
            made = self.api.create_commit(
                self.repo,
                operations,
                commit_message=message,
                repo_type="dataset",
                revision=self.revision,
                parent_commit=parent,
            )
            return str(made.oid)

    def tag(self, name: str, commit: str) -> None:
        """Name a commit."""
        with self._told():
            self.api.create_tag(self.repo, tag=name, revision=commit, repo_type="dataset")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn whatever the library raises into `NoAnswer` or `UserError`."""
        try:
            yield
        except Exception as error:  # of the library, of its HTTP client, and of that one's
            raise self._explained(error) from None

    def _explained(self, error: BaseException) -> BaseException:
        cause: BaseException | None = error
        while cause is not None:
            kinds = {kind.__name__ for kind in type(cause).__mro__}
            status = getattr(getattr(cause, "response", None), "status_code", None)
            if isinstance(status, int):
                # The library words some refusals itself, such as that of a card.
                worded = str(error) if type(error) is ValueError else None
                return self._of_status(status, cause, worded)
            reason = self._line(cause) or type(cause).__name__
            if kinds & {"OfflineModeIsEnabled"}:
                return NoAnswer("offline mode is on (HF_HUB_OFFLINE)", again=False)
            if kinds & {"LocalProtocolError", "UnsupportedProtocol", "HFValidationError"}:
                return UserError(f"{self.repo}: this cannot be asked of a Hub ({reason}).")
            if kinds & {"TransportError"}:
                return NoAnswer(f"no answer from {_host(self.api.endpoint)} ({reason})")
            if kinds & {"XetAuthenticationError"}:
                return UserError(f"{self.repo}: its storage does not know you. {LOGIN}")
            cause = cause.__cause__
        if isinstance(error, OSError) and error.errno:
            return error  # of this machine's file system
        if isinstance(error, OSError | RuntimeError):
            # A download that broke off, or the large-file storage, whose statuses are in its text.
            text = self._line(error)
            if found := re.search(r"HTTP status client error \((4\d\d)\b", text):
                return self._of_status(int(found[1]), error, text)
            return NoAnswer(text)
        return UserError(f"{self.repo}: {type(error).__name__}: {self._line(error)}")

    def _line(self, said: object) -> str:
        return in_a_line(str(said), self.token)

    def _of_status(self, status: int, error: BaseException, worded: str | None) -> BaseException:
        """What an HTTP status means for us."""
        said = self._line(worded or getattr(error, "server_message", None) or "")
        phrase = http.HTTPStatus(status).phrase if status in {*http.HTTPStatus} else ""
        reason = f"{status} {phrase}".strip() + (f": {said}" if said else "")
        if status == 401 and self.token is None:
            return _NotThere(f"{self.repo}: the Hub does not know who asks ({reason}). {LOGIN}")
        if status == 401:
            return UserError(f"{self.repo}: the Hub does not take the token ({reason}). {LOGIN}")
        if status == 403:
            return UserError(f"{self.repo}: the Hub does not let you do this ({reason}). {LOGIN}")
        if status == 404:
            return _NotThere(
                f"{self.repo}: not there, or you may not see it ({reason}). Check the name. {LOGIN}"
            )
        # 409 and 412: it changed since we looked. Every attempt begins by looking.
        if status in (408, 409, 412, 429) or status >= 500:
            return NoAnswer(reason, _asked_to_wait(getattr(error, "response", None)))
        return UserError(f"{self.repo}: the Hub refuses it ({reason}).")


class _NotThere(UserError):
    """There is no such thing, or none for us: the error that it is unless nothing was expected."""


def again(
    step: Callable[[], Answer], sleep: Callable[[float], None], pauses: Sequence[float] = PAUSES
) -> Answer:
    """Do a step that may be done any number of times until the Hub answers.

    Raises:
        NoAnswer: it did not, after the last attempt.
        UserError: it wants to be left alone for longer than `LONGEST_WAIT_S`.
    """
    for pause in pauses:
        try:
            return step()
        except NoAnswer as error:
            if not error.again:
                raise
            wait = max(pause, error.wait_s)
            if wait > LONGEST_WAIT_S:
                raise UserError(
                    f"the Hub asks to wait {wait:.0f} s ({error}). Run the same command then: what "
                    "has arrived is not sent again."
                ) from None
            logging.getLogger(__name__).warning("the Hub: %s; asking again in %.0f s", error, wait)
        sleep(wait)
    return step()


def _require_plain(endpoint: str) -> None:
    """Refuse an address that cannot be a Hub's, without repeating what may be a secret."""
    try:
        parts = urlsplit(endpoint)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        secret = "@" in parts.netloc or parts.query or parts.fragment
    except ValueError:
        whole, secret = False, ""
    if not whole or secret:
        raise UserError(
            "--endpoint (or HF_ENDPOINT): not the address of a Hub. Give it as https://host, "
            f"without a name, a password or a question mark. {LOGIN}"
        )


def _host(endpoint: str) -> str:
    return urlsplit(endpoint).netloc


def _asked_to_wait(response: Any) -> float:
    """Seconds from the header Retry-After (a number or a date), or from the Hub's own RateLimit."""
    headers = getattr(response, "headers", {})
    given = str(headers.get("Retry-After", "")).strip()
    if given.isascii() and given.isdigit():
        return float(given)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(given).timestamp() - time.time())
    limit = re.search(r";\s*r=0;\s*t=(\d+)", str(headers.get("RateLimit", "")))
    return float(limit[1]) if limit else 0.0
