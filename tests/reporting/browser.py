"""A report that is open in a browser without network."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

PHONE, DESK = {"width": 375, "height": 812}, {"width": 1280, "height": 900}


class Opened:
    """A page, and what it complained of or asked for from elsewhere."""

    def __init__(self, browser: Browser, file: Path, **options: Any) -> None:
        self.complaints: list[str] = []
        self.context = browser.new_context(offline=True, **{"viewport": DESK, **options})
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._judge(request.url))
        self.page.goto(file.as_uri())

    def _judge(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(url)

    def drawn(self) -> Page:
        self.page.wait_for_selector("html[data-figures]", timeout=60_000)
        assert self.page.get_attribute("html", "data-figures") == "drawn"
        assert self.complaints == []
        return self.page
