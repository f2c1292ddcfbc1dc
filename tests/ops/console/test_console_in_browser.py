"""The console in a browser: every page passes an accessibility run in both themes, fits 390 pixels, loads nothing from elsewhere, and answers to keys."""
import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from cambist.ops.web.assets_shell import node_modules

from tests.ops.console.little_house import Kind, LittleHouse, Side
from tests.ops.console.test_console import PAGES, Staff, until
from tests.ops.web.browser import cut_off

CHROMIUM, FLAGS = "/usr/bin/chromium", ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
RULES = ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]
WIDTHS = ((1280, "light"), (1280, "dark"), (390, "light"))


async def sign_in(page, address, person, password):
    await page.goto(f"{address}/login")
    await page.fill("#person", person)
    await page.fill("#password", password)
    await page.press("#password", "Enter")
    await page.wait_for_url(f"{address}/")


async def faults(page) -> list[str]:
    await page.evaluate((node_modules() / "axe-core" / "axe.min.js").read_text())
    found = await page.evaluate(f"axe.run(document, {{runOnly: {RULES}}})")
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found["violations"]]


def listen(page, address: str, wrong: list[str]) -> None:
    """Notes errors of scripts, and whatever is asked of another host."""
    page.on("pageerror", lambda error: wrong.append(f"script: {error}"))
    page.on("request", lambda asked: None if asked.url.startswith((address, "data:")) else wrong.append(f"elsewhere: {asked.url}"))


async def looked_at(house: LittleHouse, address: str) -> list[str]:
    """Everything wrong with any page, in any width and theme."""
    request = await house.trade("acme", "BTC/USD", Side.BUY, "1", 600_000)
    await house.settle()
    await house.request("acme", "BTC/USD", Side.BUY, "25", 30)
    wrong: list[str] = []
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for width, scheme in WIDTHS:
            context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)  # axe is put in by the test
            page = await context.new_page()
            listen(page, address, wrong)
            await sign_in(page, address, "rhea", house.passwords["rhea"])
            for path in (*PAGES, f"/story/{request}"):
                await page.goto(address + path)
                await page.wait_for_timeout(300)
                wrong += [f"{path} {scheme} {width}: {fault}" for fault in await faults(page)]
                if await page.evaluate("document.documentElement.scrollWidth") > width:
                    wrong.append(f"{path} is wider than {width}")
            await context.close()
        await browser.close()
    return wrong


async def by_keys(house: LittleHouse, address: str) -> None:
    """Under the strict policy: g and a letter leads to a page, a request appears without a reload, p goes to its price, / to the search."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page()
        refused: list[str] = []
        page.on("console", lambda said: refused.append(said.text) if "Content Security Policy" in said.text else None)
        await sign_in(page, address, "rhea", house.passwords["rhea"])
        await page.keyboard.press("g")
        await page.keyboard.press("b")
        await page.wait_for_url(re.compile("/blotter"))
        await page.goto(f"{address}/")
        await page.wait_for_selector("#line[data-state=live]")
        await house.request("borea", "XRP/USD", Side.SELL, "1000", 30)
        await page.wait_for_selector("text=1,000 XRP >> nth=0")
        await page.keyboard.press("p")
        assert await page.evaluate("document.activeElement.id") == "bid"
        await page.keyboard.type("0.4999")
        await asyncio.sleep(1.5)                        # fragments are drawn anew meanwhile, and what is typed stays
        assert await page.input_value("#bid") == "0.4999"
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        assert await page.evaluate("document.activeElement.id") == "search"
        assert refused == []
        await browser.close()


async def on_a_telephone(house: LittleHouse, address: str) -> list[str]:
    """What is open and what became of the others is seen without scrolling."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(viewport={"width": 390, "height": 844})
        await sign_in(page, address, "rhea", house.passwords["rhea"])
        given_up = await house.request("borea", "XRP/USD", Side.TWO_WAY, "800000.1", 30)
        await house.ask(Kind.CANCEL_REQUEST, "borea-bot", "borea", request=given_up)
        await house.request("acme", "BTC/USD", Side.TWO_WAY, "25", 30)
        await page.wait_for_selector("#queue-over >> text=taken back by the client")
        await page.wait_for_selector("#queue-list .badge:text('large')")
        found = [f"{table} is cut off by {over}" for table in ("#queue-list", "#queue-over") if (over := await cut_off(page, table))]
        await browser.close()
        return found


@pytest.mark.process
@pytest.mark.parametrize("look", [looked_at, by_keys, on_a_telephone])
def test_the_console_in_a_browser(tmp_path: Path, look):
    async def test():
        house = LittleHouse(tmp_path)
        async with house.node():
            await house.fund()
            await house.prices({"BTC/USD": 600_000, "XRP/USD": 50_000})
            async with house.console() as address:
                first = Staff(address)
                await first.sign_in("rhea", house.passwords["rhea"])
                await until(first, "/", "Open requests")
                await first.http.aclose()
                found = await look(house, address)
                assert not found, "\n".join(found)
            await house.link.close()
    asyncio.run(asyncio.wait_for(test(), 300))
