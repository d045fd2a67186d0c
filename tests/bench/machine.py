"""What every benchmark needs: the machine in words, processes measured, sections of a page."""

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def process(command: list[str]) -> tuple[float, float, str]:
    """Seconds, peak memory in KiB and output of a process.

    A process between counts: a child begins with the peak of the one that it was made by.
    """
    code = f"""
import resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run({command!r}, check=True, capture_output=True, text=True)
seconds = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, done.stdout)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=ROOT,
    )  # fmt: skip
    seconds, peak, out = done.stdout.split(" ", 2)
    return float(seconds), float(peak), out


def hardware(*packages: str) -> str:
    """The machine and the versions of packages, in words."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    processor = found.group(1) if found else platform.processor()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return (
        f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python "
        f"{platform.python_version()}, {datetime.datetime.now(datetime.UTC).date()}; load at the "
        f"end {os.getloadavg()[0]:.1f}; {versions}."
    )


def publish(text: str, section: str, page: Path | None) -> None:
    """Print a section, and write it between its marks on a page where one is given."""
    sys.stdout.write(f"{text}\n")
    if page is None:
        return
    begin, end = f"<!-- bench: {section} -->", f"<!-- /bench: {section} -->"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        sys.exit(f"{page}: has no {begin} … {end}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
