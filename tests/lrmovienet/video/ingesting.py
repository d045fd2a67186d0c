"""`lrmovienet ingest --videos` and what it leaves behind."""

from written_films import shots_of, write_film

from lrmovienet.cli import main

HEADER = "video,description,start_s,end_s\n"


def make_video(path, lengths):
    """A film of 96 x 64 pixels, 25 frames a second."""
    return write_film(path, shots_of(lengths))


def ingest(workspace, videos, descriptions, *options):
    return main(
        ["ingest", "--workspace", str(workspace), "--videos", str(videos), "--descriptions",
         str(descriptions), *options]
    )  # fmt: skip


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def finished(workspace):
    """The tables and the frames that a failing run has to leave alone."""
    return {
        f"{name}/{path}": data
        for name in ("films", "clips", "frames")
        for path, data in content(workspace / name).items()
    }


def rows(workspace, table="clips"):
    return workspace.read(table).to_pylist()


def dropped(workspace, table="clips"):
    return [(r["clip_id"], r["reason"]) for r in workspace.read_dropped(table).to_pylist()]
