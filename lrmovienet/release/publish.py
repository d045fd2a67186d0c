"""`lrmovienet publish`: a release -> a dataset on the Hugging Face Hub, with a tag of its version.

A release is one commit: readers see the older one or this one, never half of each. Nothing is kept
on this side about what was sent. Every attempt looks at what is there and does what is missing, so
that the same command, run again after whatever broke it, comes to the same end.

`create_commit` is called and not `upload_folder`: with the Hub's large-file storage the latter may
cut a folder into several commits, and sends a commit again whose answer got lost.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.messages import printable
from lrmovienet.errors import UserError
from lrmovienet.release.discreet import discreet
from lrmovienet.release.follows import (
    CHANGED,
    DELETED,
    NEW,
    UNCHANGED,
    UNKNOWN,
    Local,
    compared,
    files_of,
    refusals,
    tag_of,
)
from lrmovienet.release.layout import Release
from lrmovienet.release.remote import PAUSES, Hub, NoAnswer, Remote, again
from lrmovienet.release.versions import number


@dataclass(frozen=True)
class PublishConfig:
    """Options of `lrmovienet publish`."""

    repo: str
    """Dataset on the Hub, as owner/name; made where it does not exist."""
    release: Path = Path("release")
    """Folder of the release, as `lrmovienet release build` wrote it."""
    dry_run: bool = True
    """Only show what would be sent; give false, and it is sent."""
    private: bool = True
    """Make a new dataset private; one that exists stays as it is."""
    revision: str = "main"
    """Branch of the dataset that the release goes to."""
    message: str | None = None
    """What the commit is called; by default after the version."""
    endpoint: str | None = None
    """The Hub's address, where it is another than huggingface_hub's own."""


def run(config: PublishConfig, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show what would be sent, and with ``--dry_run false`` send it.

    Args:
        config: the options.
        sleep: waits so many seconds between attempts.

    Raises:
        UserError: the folder is no whole release, the Hub holds what this release must not
            replace, or it refuses or does not answer.
    """
    if config.message is not None and not config.message.strip():
        raise UserError(
            "--message is empty. Leave it out, and the commit is called by the version."
        )
    hub = Hub.at(config.repo, config.revision, config.endpoint)
    release = _whole(config.release)
    local = files_of(release)
    console = Console(emoji=False)
    with discreet(hub.token):
        try:
            pauses = () if config.dry_run else PAUSES
            remote = again(lambda: hub.look(tag_of(release)), sleep, pauses)
        except NoAnswer as error:
            if not config.dry_run:
                raise _gave_up(hub, error) from None
            _show(console, hub, release, local, dict.fromkeys(local, UNKNOWN))
            _say(console, f"the Hub was not asked: {error}")
            return
        _show(console, hub, release, local, compared(local, remote))
        _say(console, _standing(hub, remote, config))
        _refuse(hub, release, local, remote)
        if config.dry_run:
            _say(console, "nothing was sent; --dry_run false sends it")
            return
        try:
            commit = again(lambda: _send(hub, release, local, config), sleep)
        except NoAnswer as error:
            raise _gave_up(hub, error) from None
    _say(console, f"published as {tag_of(release)}, commit {commit}")
    _say(console, f"{hub.url}/tree/{tag_of(release)}")


def _whole(root: Path) -> Release:
    """The release in a folder, looked through. Raises UserError with its first ten problems."""
    from lrmovienet.release.check import check

    release = Release.open(root)
    outside = [
        f"{path.relative_to(root)}: a link that leads out of the folder; put the file itself there"
        for path in sorted(root.rglob("*"))
        if path.is_symlink() and not path.resolve().is_relative_to(root.resolve())
    ]
    problems = outside or check(release)
    if number(release.version) is None:
        problems = [*problems, f"{release.version!r} is no version such as 1.0.0"]
    if problems:
        more = f"\n  … and {len(problems) - 10} more" if len(problems) > 10 else ""
        listed = "\n  ".join(problems[:10])
        raise UserError(f"{root}: not as it was built, so nothing was sent:\n  {listed}{more}")
    return release


def _refuse(hub: Hub, release: Release, local: Mapping[str, Local], remote: Remote | None) -> None:
    problems = refusals(release, local, remote) if remote else []
    if problems:
        listed = "\n  ".join(problems)
        raise UserError(f"{hub.repo}, branch {hub.revision}: nothing was sent:\n  {listed}")


def _send(hub: Hub, release: Release, local: Mapping[str, Local], config: PublishConfig) -> str:
    """One attempt: do whatever is missing there. Returns the commit that the tag names."""
    tag = tag_of(release)
    remote = hub.look(tag)
    if remote is None:
        hub.create(config.private)
        remote = hub.look(tag)
    if remote is None:
        raise NoAnswer("the dataset was made, and is not there yet")
    _refuse(hub, release, local, remote)
    states, commit = compared(local, remote), remote.head
    add = {n: local[n].path for n, state in states.items() if state in (NEW, CHANGED)}
    delete = [n for n, state in states.items() if state == DELETED]
    if add or delete:
        message = config.message or f"LRMovieNet {release.version}"
        commit = hub.commit(add, delete, message, parent=remote.head)
        there = hub.files(commit)
        wrong = [n for n, file in local.items() if not file.is_stored_as(there.get(n))]
        wrong += [n for n in delete if n in there]
        if wrong:
            raise UserError(
                f"{hub.repo}: commit {commit} does not hold what was sent: "
                f"{', '.join(wrong[:10])}. Did the folder change, or does a .gitignore there leave "
                "files out? It got no tag; put that right and run the same command again."
            )
    if tag not in remote.tags:
        hub.tag(tag, commit)
    return remote.tags.get(tag, commit)


def _gave_up(hub: Hub, error: NoAnswer) -> UserError:
    return UserError(
        f"{hub.repo}: the Hub does not answer: {error}. Run the same command again later: it does "
        "what is still missing, and sends nothing twice."
    )


def _standing(hub: Hub, remote: Remote | None, config: PublishConfig) -> str:
    """Who can read it."""
    if remote is None:
        unseen = "" if hub.token else ", or private and unseen without logging in"
        verb = "would be" if config.dry_run else "is"
        return (
            f"{hub.repo}: not there yet{unseen}; it {verb} made "
            f"{'private' if config.private else 'public'}"
        )
    return f"{hub.repo}: a {'private' if remote.private else 'public'} dataset, and stays so"


def _show(
    console: Console, hub: Hub, release: Release, local: Mapping[str, Local], states: dict[str, str]
) -> None:
    """A line a file, then how much there is to send."""
    table = Table(
        title=Text(printable(f"{release.root} -> {hub.url}, {hub.revision}")), title_justify="left"
    )
    table.add_column("file", overflow="fold")
    table.add_column("bytes", justify="right")
    table.add_column("there")
    for name, state in states.items():
        size = local[name].size if name in local else None
        table.add_row(Text(printable(name)), "" if size is None else f"{size:,}", state)
    console.print(table)
    counted = Counter(states.values())
    listed = ", ".join(f"{n} {state}" for state, n in counted.items())
    left = sum(local[n].size for n, state in states.items() if state not in (UNCHANGED, DELETED))
    _say(console, f"version {release.version}: {listed}; {left:,} bytes to send")


def _say(console: Console, text: str) -> None:
    console.print(Text(printable(text)), soft_wrap=True)
