"""The portal in a real browser: a request traded by keyboard, orders, history, the statement; each page in both themes at both widths."""
import asyncio
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page

from cambist.messages import Kind, Session, Side

from tests.ops.portal.house_in_hand import HouseInHand
from tests.ops.portal.portal_in_hand import PASSWORD, portal, with_password
from tests.ops.web.browser import LOOKS, Looked, chromium, cut_off, looking

pytestmark = pytest.mark.process
PLACES = "JSON.stringify(['#quantity', 'button.main', '#ladder', '#trades'].map(each => document.querySelector(each).getBoundingClientRect()))"
Act = Callable[[HouseInHand, Looked, str], Awaitable[None]]


def run(folder, act: Act, look: tuple[str, int, int] = LOOKS[0]) -> None:
    with_password(folder)

    async def main():
        house = HouseInHand()
        for account, asset, amount in (("acme", "USD", 5_000_000 * 10**6), ("acme", "BTC", 10**9), ("borea", "USD", 10**13), ("b2", "USD", 10**13)):
            house.fund(account, asset, amount)
        async with portal(folder, house) as address, chromium() as browser, looking(browser, look, address) as looked:
            await looked.page.goto(address)
            await act(house, looked, address)
    asyncio.run(main())


async def sign_in(page: Page, password: str = PASSWORD) -> None:
    await page.fill("#person", "ada")
    await page.fill("#password", password)
    await page.press("#password", "Enter")


async def live(page: Page) -> None:
    await page.wait_for_selector("#line[data-state=live]")


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def test_every_page_in_every_look(tmp_path, look):
    async def act(house: HouseInHand, looked: Looked, address: str) -> None:
        page = looked.page
        await looked.check("sign in")
        await sign_in(page, "wrong")
        await page.wait_for_selector(".refused")
        await looked.check("sign in refused")
        await sign_in(page)
        await live(page)
        for n in range(12):
            house.order("b2", "b2", Side.SELL, 631_500 + 5 * n, 10_000 * (n + 1))
            house.order("borea-bot", "borea", Side.BUY, 630_900 - 5 * n, 10_000 * (n + 1))
        await looked.check("home")
        await page.goto(f"{address}/request")
        await page.fill("#size", "12000")
        await page.check("input[name=size_in][value=quote]", force=True)
        await page.wait_for_selector("#preview strong")
        await looked.check("request")
        await page.click("text=Ask for quotes")
        await page.wait_for_url("**/requests/*")
        house.quote("b2", house.newest_request(), ask=631_300)
        house.quote("c3", house.newest_request(), ask=631_250)
        await page.wait_for_selector("#quote-2.best")
        await looked.check("quotes")
        house.quote("c3", house.newest_request(), ask=631_350)
        await page.wait_for_selector("#quote-1.best")
        await page.click("#take-1-buy")
        await page.wait_for_selector(".fine")
        await looked.check("traded")
        await page.goto(f"{address}/orders")
        await page.fill("#quantity", "0.05")
        await page.fill("#price", "62500.3")
        await page.click("text=Send the order")
        await page.wait_for_selector(".field.wrong")
        await looked.check("order refused")
        await page.fill("#price", "62500")
        await page.click("text=Send the order")
        await page.wait_for_selector("#open-orders td button")
        await page.wait_for_selector("#reference-chart canvas")
        await looked.check("orders")
        await page.click("text=Trigger, peg and more")
        await looked.check("order ticket, whole")
        house.do(Kind.SESSION, "ines", instrument=1, session=Session.AUCTION, next=Session.CONTINUOUS, duration=60 * 10**9)
        await page.wait_for_selector("text=auction, then continuous")
        await looked.check("an auction on the page of orders")
        house.do(Kind.SESSION, "ines", instrument=1, session=Session.CONTINUOUS)
        await page.click("text=Cancel all")
        await looked.check("confirmation")
        await page.keyboard.press("Escape")
        await page.click("#lives a >> nth=0")
        await looked.check("order")
        for name in ("fills", "requests", "orders", "refusals", "transfers"):
            await page.goto(f"{address}/history?list={name}")
            await looked.check(f"history of {name}")
        await page.goto(f"{address}/statement")
        await live(page)
        await looked.check("statement")
        await page.goto(f"{address}/stop")
        await looked.check("stop")
        await page.goto(f"{address}/nowhere")
        await looked.check("fault")
        await page.goto(address)
        await live(page)
        house.take_away()
        await page.wait_for_selector("text=The house is not reachable")
        assert await page.get_attribute("#line", "data-state") == "lost"
        await looked.check("away")
        house.give_back()
        await live(page)
    run(tmp_path, act, look)


def test_what_became_of_a_request_is_seen_on_a_telephone(tmp_path):
    async def act(house: HouseInHand, looked: Looked, address: str) -> None:
        page = looked.page
        await sign_in(page)
        for instrument, side, size in (("BTC-USD", "sell", "1.2345"), ("XRP-USD", "two_way", "1200000")):
            await page.goto(f"{address}/request?instrument={instrument}&side={side}&size={size}")
            await page.click("button:text('Ask for quotes')")
            await page.wait_for_selector("#recents .badge.accent")
            await page.click("button:text('Cancel')")
            await page.wait_for_selector("#recents tr:first-child .badge:text('cancelled')")
        assert await cut_off(page, "#recents") == 0
    run(tmp_path, act, LOOKS[2])


def test_a_request_is_traded_by_keyboard(tmp_path):
    async def act(house: HouseInHand, looked: Looked, address: str) -> None:
        page = looked.page
        await sign_in(page)
        await live(page)
        await page.keyboard.press("g")
        await page.keyboard.press("r")
        await page.wait_for_url("**/request")
        await page.keyboard.press("/")
        await page.keyboard.type("0.5")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/requests/*")
        await live(page)
        house.quote("b2", house.newest_request(), ask=631_300)
        house.quote("c3", house.newest_request(), ask=631_250)
        await page.wait_for_selector("#quote-2.best")
        focused = await page.evaluate("document.activeElement.tagName")
        assert focused == "BODY"
        await page.keyboard.press("Enter")
        told = await page.wait_for_selector(".fine")
        assert "Bought 0.50" in await told.inner_text() and "63,125.0" in await told.inner_text()
        await page.keyboard.press("?")
        await page.wait_for_selector("#keys[open]")
        await page.keyboard.press("Escape")
        await page.keyboard.press("g")
        await page.keyboard.press("y")
        await page.wait_for_url("**/history")
        assert "63,125.0" in await page.inner_text("main")
    run(tmp_path, act)


def test_a_stop_is_sent_by_keyboard_and_waits(tmp_path):
    async def act(house: HouseInHand, looked: Looked, address: str) -> None:
        page = looked.page
        await sign_in(page)
        await page.goto(f"{address}/orders")
        await live(page)
        before = await page.evaluate(PLACES)
        await page.keyboard.press("s")
        assert await page.is_checked("input[name=side][value=sell]")
        await page.keyboard.press("t")
        await page.keyboard.type("Market")
        await page.keyboard.press("Escape")
        await page.keyboard.press("/")
        await page.keyboard.type("0.05")
        assert await page.evaluate(PLACES) == before, "choosing a type moves nothing"
        await page.keyboard.press("Escape")
        await page.keyboard.press("m")
        await page.wait_for_selector("details.more[open]")
        await page.focus("#trigger")
        await page.keyboard.type("Stop")
        await page.keyboard.press("Tab")
        await page.keyboard.type("62000")
        await page.keyboard.press("Tab")
        await page.keyboard.type("Reference")
        await page.click("text=Send the order")
        await page.wait_for_selector("#open-orders .badge:text('waiting')")
        assert "stop 62,000.0 on index" in await page.inner_text("#open-orders")
    run(tmp_path, act)


def test_a_fill_of_an_order_is_told_on_every_page_and_a_double_click_sends_once(tmp_path):
    async def act(house: HouseInHand, looked: Looked, address: str) -> None:
        page = looked.page
        await sign_in(page)
        await page.goto(f"{address}/orders")
        await page.fill("#quantity", "0.05")
        await page.fill("#price", "62500")
        await page.dblclick("text=Send the order")
        await page.wait_for_selector("text=Order accepted")
        await live(page)
        assert len(house.asked) == 1
        await page.goto(f"{address}/statement")
        await live(page)
        house.order("b2", "b2", Side.SELL, 625_000, 5_000_000)
        note = await page.wait_for_selector(".toast.good")
        assert "Bought 0.05 BTC at 62500" in await note.inner_text()
    run(tmp_path, act)


def test_fragments_come_without_moving_what_is_under_the_hand(tmp_path):
    async def act(house: HouseInHand, looked: Looked, address: str) -> None:
        page = looked.page
        await sign_in(page)
        await page.goto(f"{address}/orders")
        await live(page)
        await page.fill("#quantity", "0.0123")
        before = await page.evaluate(PLACES)
        for n in range(6):
            house.order("b2", "b2", Side.SELL, 631_500 + 5 * n, 100_000)
            house.price(1, 631_205 + n)
        await page.wait_for_selector("#ladder tr.ask")
        assert await page.evaluate(PLACES) == before
        assert await page.input_value("#quantity") == "0.0123" and await page.evaluate("document.activeElement.id") == "quantity"
    run(tmp_path, act)


def test_the_theme_is_kept(tmp_path):
    async def act(house: HouseInHand, looked: Looked, address: str) -> None:
        page = looked.page
        await sign_in(page)
        await live(page)
        await page.click("[data-theme-toggle]")
        assert await page.get_attribute("html", "data-theme") == "dark"
        await page.goto(f"{address}/statement")
        assert await page.get_attribute("html", "data-theme") == "dark"
        await looked.check("statement, dark by hand")
    run(tmp_path, act)
