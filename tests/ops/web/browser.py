"""A real browser for the tests of pages: Debian's chromium, driven by Playwright, with what every page is looked at for."""
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from cambist.ops.web.assets_shell import node_modules

CHROMIUM = os.environ.get("CAMBIST_CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
LOOKS = (("light", 1280, 800), ("dark", 1280, 800), ("light", 390, 844), ("dark", 390, 844))
AXE_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@contextlib.asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            await browser.close()


async def cut_off(page: Page, selector: str) -> int:
    """How many pixels of a table are to be scrolled to."""
    return await page.locator(f"{selector} .scroll").first.evaluate("each => each.scrollWidth - each.clientWidth")


class Looked:
    """A page in one look; `wrong` gathers what no page may have: script errors, broken policy, other hosts, findings of axe, a page wider than its window."""

    def __init__(self, page: Page, look: tuple[str, int, int], address: str) -> None:
        self.page, self.look, self.wrong = page, look, []
        self._axe = (node_modules() / "axe-core" / "axe.min.js").read_text()
        page.on("pageerror", lambda error: self.wrong.append(f"script error: {error}"))
        page.on("console", lambda line: self.wrong.append(f"console: {line.text}") if line.type == "error" and "status of 4" not in line.text else None)
        page.on("request", lambda asked: None if asked.url.startswith((address, "data:")) else self.wrong.append(f"asks {asked.url}"))

    async def check(self, name: str) -> None:
        """Looks at the page as it is now."""
        scheme, width, _ = self.look
        where = f"{name}, {scheme} {width}"
        over: int = await self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if over > 0:
            self.wrong.append(f"{where}: {over} pixels wider than the window")
        await self.page.evaluate(self._axe)
        found: dict[str, Any] = await self.page.evaluate(f"axe.run(document, {{runOnly: {AXE_RULES}}})")
        self.wrong += [f"{where}: {each['id']} {[node['target'] for node in each['nodes'][:3]]}" for each in found["violations"]]


@contextlib.asynccontextmanager
async def looking(browser: Browser, look: tuple[str, int, int], address: str) -> AsyncIterator[Looked]:
    """A new visitor; afterwards nothing may have been wrong."""
    scheme, width, height = look
    context = await browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})  # type: ignore[arg-type]
    context.set_default_timeout(30_000)
    looked = Looked(await context.new_page(), look, address)
    yield looked
    await context.close()
    assert not looked.wrong, "\n" + "\n".join(looked.wrong)


def shot_path(name: str) -> Path | None:
    """Where a picture goes when someone wants to look: CAMBIST_SHOTS, never the repository."""
    folder = os.environ.get("CAMBIST_SHOTS")
    return Path(folder) / f"{name}.png" if folder else None
