"""A person at the keyboard: Debian's Chromium, driven by Playwright, with no mouse."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from conftest import Running

from annotation.forms import Form
from annotation.local_server import USER

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


class Person:
    """Somebody who is logged in, and who counts the keys that are pressed."""

    def __init__(self, page, studio: Running) -> None:
        self.page, self.studio = page, studio
        self.keys = 0
        self.hosts: set[str] = set()
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))

    def open(self, project: int) -> None:
        """Begin to label a project, and put the instructions away."""
        self.page.goto(f"{self.studio.url}/projects/{project}/data?labeling=1")
        self.page.wait_for_selector(".lrm-slot .ant-radio", timeout=60_000)
        self.page.get_by_text("Labeling Instructions").wait_for(timeout=30_000)
        self.page.keyboard.press("Escape")
        self.page.get_by_text("Labeling Instructions").wait_for(state="hidden")

    def asked(self) -> list[str]:
        """The questions on the page, in their order."""
        shown = self.page.locator(".lrm-slot h4").all_text_contents()
        return [text for text in shown if text]

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.keys += 1

    def answer(self, form: Form, answers: Sequence[int]) -> None:
        """Press the key of each question's answer, given as the answer's place in the form."""
        for slot, answer in enumerate(answers):
            key = form.key(slot, answer)
            self.press(key.replace("shift+", "Shift+"))

    def tab_to(self, name: str) -> None:
        """Go to a field by Tab alone."""
        for _ in range(100):
            self.press("Tab")
            if self.page.evaluate("document.activeElement.name") == name:
                return
        raise AssertionError(f"{name} cannot be reached by Tab")

    def submit(self) -> None:
        """Submit the page and wait until the next one, or the end, is there."""
        with self.page.expect_response(
            lambda r: "/annotations" in r.url and r.request.method == "POST", timeout=30_000
        ) as response:
            self.press("Control+Enter")
        assert response.value.status == 201

    def chosen(self) -> int:
        """How many answers are chosen on the page, those of unused questions left out."""
        return self.page.locator(".lrm-slot:has(h4:not(:empty)) .ant-radio-checked").count()

    def scroll_positions(self) -> list[float]:
        """How far each thing that can be scrolled is scrolled, on the way up from the questions."""
        return list(
            self.page.evaluate(
                """() => { const at = []; let e = document.querySelector('.lrm-slots');
                while (e) { if (e.scrollHeight > e.clientHeight) at.push(e.scrollTop);
                e = e.parentElement; } return at; }"""
            )
        )

    def out_of_sight(self) -> int:
        """How many used questions are not wholly on the screen, above the bar with Submit."""
        return int(
            self.page.evaluate(
                """() => {
                const bar = document.querySelector('button[name="submit"]');
                const floor = bar ? bar.getBoundingClientRect().top : innerHeight;
                const used = [...document.querySelectorAll('.lrm-slot')].filter(
                  slot => slot.querySelector('h4').textContent);
                return used.map(slot => slot.getBoundingClientRect()).filter(
                  at => at.top < 0 || at.bottom > floor).length }"""
            )
        )


@contextlib.contextmanager
def at_the_keyboard(studio: Running, width: int = 1366, height: int = 768) -> Iterator[Person]:
    """A browser with somebody logged in."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        person = Person(page, studio)
        page.goto(f"{studio.url}/user/login/")
        page.fill("[name=email]", USER)
        page.fill("[name=password]", studio.password)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{studio.url}/")
        yield person
        browser.close()
