"""The portal against a house in hand, as a browser uses it: trade once whatever is sent twice, be told why not, live through a house that goes away."""
import asyncio
import re
import time
from collections.abc import Awaitable, Callable

import pytest

from cambist.messages import Kind, Side
from cambist.ops.portal import reach_shell

from tests.ops.portal.house_in_hand import BTC_USD, SECOND, HouseInHand
from tests.ops.portal.portal_in_hand import Browser, form, portal, with_password
from tests.process.house_on_disk import ACCOUNT, ASSET

MARKUP = '<script>alert(1)</script>"\'><img src=x onerror=alert(1)>{{ 7 * 7 }}'
REQUEST = {"instrument": "BTC-USD", "side": "buy", "size": "0.5", "size_in": "base", "stands": "30"}
ORDER = {"side": "buy", "type": "limit", "quantity": "0.05", "price": "62500"}
Test = Callable[[HouseInHand, Browser], Awaitable[None]]


def run(folder, test: Test, person: str = "ada") -> list[str]:
    """`test` with someone signed in; what the operator was told."""
    with_password(folder)
    said: list[str] = []

    async def main():
        house = HouseInHand()
        house.fund("acme", "USD", 5_000_000 * 10**6)
        async with portal(folder, house, said) as address, Browser(address) as browser:
            assert (await browser.sign_in(person)).status_code == 303
            await test(house, browser)
    asyncio.run(main())
    assert not [line for line in said if "error" in line], said
    return said


async def ask(browser: Browser, **changed: str):
    """The page of a request that was just asked for."""
    answer = await browser.send(await browser.get("/request"), "/request", **REQUEST | changed)
    assert answer.status_code == 303, answer.text
    return await browser.follow(answer)


def requests_of(house: HouseInHand) -> list[dict[str, int]]:
    _, columns, rows = house.node.cell.tables()["requests"]
    return [dict(zip(columns, row, strict=True)) for row in rows.tolist()]


def net_of(house: HouseInHand, account: str) -> int:
    _, columns, rows = house.node.cell.tables()["positions"]
    found = [dict(zip(columns, row, strict=True)) for row in rows.tolist()]
    return sum(row["net"] for row in found if row["account"] == ACCOUNT[account] and row["instrument"] == BTC_USD)


# -------------------------------------------------------------------------------------------------------------------------------- who comes in
def test_only_people_with_a_clients_key_come_in(tmp_path):
    async def test(house, browser):
        async with Browser(browser.address) as other:
            assert (await other.sign_in("ines")).status_code == 401
            assert (await other.sign_in("bo")).status_code == 303
            assert "Statement of borea" in (await other.get("/statement")).text
        assert "Statement of acme" in (await browser.get("/statement")).text
    run(tmp_path, test)


def test_another_clients_things_are_unknown(tmp_path):
    async def test(house, browser):
        page = await ask(browser)
        request = page.url.path.removeprefix("/requests/")
        house.order("ada", "acme", Side.BUY, 625_000, 10_000)
        order = next(line for line in (await browser.get("/orders")).text.split('href="/orders/')[1:]).split('"')[0]
        async with Browser(browser.address) as bo:
            await bo.sign_in("bo")
            own = await bo.get("/request")
            proof = form(own, "/request")["proof"]
            for path in (f"/requests/{request}", f"/orders/{order}", f"/live/requests/{request}", "/requests/req_aaaa", "/orders/<b>", f"/orders/{request}"):
                assert (await bo.get(path)).status_code == 404, path
            taken = await bo.http.post(f"/requests/{request}/cancel", data={"proof": proof, "id": "1" * 32})
            assert taken.status_code == 404 and len(requests_of(house)) == 1
            await bo.http.post(f"/orders/{order}/cancel", data={"proof": proof, "id": "2" * 32})
            assert "Refused" in (await bo.get(f"/sent/{'2' * 32}")).text
            assert order in (await browser.get("/orders")).text and "acme" not in (await bo.get("/history?list=orders")).text
    run(tmp_path, test)


# ------------------------------------------------------------------------------------------------------------------------------------ requests
def test_a_request_is_quoted_taken_and_in_history(tmp_path):
    async def test(house, browser):
        page = await ask(browser)
        request = house.newest_request()
        house.quote("b2", request, ask=631_300)
        house.quote("c3", request, ask=631_250)
        page = await browser.get(page.url.path)
        best = page.text.split('class="best"')[1]
        assert "63,125.0" in best.split("</tr>")[0] and "best" in best.split("</tr>")[0]
        accept = f"{page.url.path}/accept"
        assert form(page, accept, 1)["price"] == "63125.0"
        answer = await browser.send(page, accept, 1)
        told = await browser.follow(answer)
        assert "Bought 0.50" in told.text and "63,125.0" in told.text and "31,562.50" in told.text
        assert net_of(house, "acme") == 50_000_000
        fills = await browser.get("/history?list=fills")
        assert "63,125.0" in fills.text and "by quote" in fills.text
        csv = await browser.get("/history.csv?list=fills")
        assert '"63125.0"' in csv.text and csv.headers["content-type"].startswith("text/csv")
        assert "bought" in (await browser.get("/request")).text
    run(tmp_path, test)


@pytest.mark.parametrize("stands", ["10", "20", "30"])
def test_to_ask_again_begins_with_what_was_asked(tmp_path, stands):
    async def test(house, browser):
        page = await ask(browser, stands=stands, side="sell", size="0.25")
        chosen = [re.sub(r".*?value=\"(\w+)\".*", r"\1", one) for one in re.findall(r"<input[^>]* checked[^>]*>", page.text)]
        assert chosen == ["sell", "base", stands] and 'value="0.25"' in page.text
    run(tmp_path, test)


def test_what_is_sent_twice_trades_once(tmp_path):
    async def test(house, browser):
        blank = await browser.get("/request")
        answers = await asyncio.gather(*(browser.send(blank, "/request", **REQUEST) for _ in range(4)))
        assert {answer.status_code for answer in answers} == {303} and len(requests_of(house)) == 1
        house.quote("b2", house.newest_request(), ask=631_300)
        page = await browser.get(next(answer.headers["location"] for answer in answers if "/requests/" in answer.headers["location"]))
        accept = f"{page.url.path}/accept"
        again = await asyncio.gather(*(browser.send(page, accept) for _ in range(5)))
        assert {answer.status_code for answer in again} == {303} and net_of(house, "acme") == 50_000_000
        await browser.send(page, accept)                # a reload, later
        assert net_of(house, "acme") == 50_000_000
        assert sum(int(record["kind"][0]) == Kind.ACCEPT_QUOTE for record in house.asked) == 1
    run(tmp_path, test)


def test_a_quote_that_is_gone_is_told_in_words_and_can_be_tried_again(tmp_path):
    async def test(house, browser):
        page = await ask(browser)
        request = house.newest_request()
        house.quote("b2", request, ask=631_300, ttl=SECOND // 10)
        page = await browser.get(page.url.path)
        await asyncio.sleep(0.15)
        told = await browser.follow(await browser.send(page, f"{page.url.path}/accept"))
        assert "UNKNOWN_QUOTE" in told.text and "no such quote" in told.text and net_of(house, "acme") == 0
        house.quote("b2", request, ask=631_300)
        page = await browser.get(page.url.path)
        assert "Bought" in (await browser.follow(await browser.send(page, f"{page.url.path}/accept"))).text
    run(tmp_path, test)


def test_the_limit_is_the_price_that_was_shown(tmp_path):
    async def test(house, browser):
        page = await ask(browser)
        request = house.newest_request()
        house.quote("b2", request, ask=631_300)
        page = await browser.get(page.url.path)
        house.quote("b2", request, ask=635_000)         # replaced by a worse one while the finger moves
        told = await browser.follow(await browser.send(page, f"{page.url.path}/accept"))
        assert net_of(house, "acme") == 0 and ("NO_QUOTE" in told.text or "UNKNOWN_QUOTE" in told.text)
    run(tmp_path, test)


def test_two_way_shows_both_sides_and_sells(tmp_path):
    async def test(house, browser):
        page = await ask(browser, side="two_way")
        house.quote("b2", house.newest_request(), bid=631_100, ask=631_300)
        page = await browser.get(page.url.path)
        assert "You sell at" in page.text and "You buy at" in page.text
        assert form(page, f"{page.url.path}/accept")["side"] == "sell"
        assert "Sold 0.50" in (await browser.follow(await browser.send(page, f"{page.url.path}/accept"))).text and net_of(house, "acme") == -50_000_000
    run(tmp_path, test)


def test_an_amount_is_converted_and_shown_first(tmp_path):
    async def test(house, browser):
        shown = await browser.get("/request/preview", params=REQUEST | {"size": "10000", "size_in": "quote"})
        assert "0.1584" in shown.text and "63,120.5" in shown.text and "rounded down to the lot" in shown.text
        await ask(browser, size="10000", size_in="quote")
        assert requests_of(house)[0]["quantity"] == 15_840_000
        wrong = await browser.get("/request/preview", params=REQUEST | {"size": "6", "size_in": "quote"})
        assert "OFF_LOT" in wrong.text
    run(tmp_path, test)


def test_a_request_is_cancelled_and_a_wrong_one_says_why(tmp_path):
    async def test(house, browser):
        page = await ask(browser)
        assert "cancelled" in (await browser.follow(await browser.send(page, f"{page.url.path}/cancel"))).text
        wrong = await browser.send(await browser.get("/request"), "/request", **REQUEST | {"size": "0.00005"})
        assert wrong.status_code == 422 and "OFF_LOT" in wrong.text and 'value="0.00005"' in wrong.text
        large = await browser.follow(await browser.send(await browser.get("/request"), "/request", **REQUEST | {"size": "100.5"}))
        assert "MAX_QUANTITY" in large.text and "larger than one order may be" in large.text
    run(tmp_path, test)


# -------------------------------------------------------------------------------------------------------------------------------------- orders
def test_orders_are_placed_listed_and_cancelled(tmp_path):
    async def test(house, browser):
        page = await browser.follow(await browser.send(await browser.get("/orders?instrument=BTC-USD"), "/orders", **ORDER))
        assert "Order accepted" in page.text and "It stands in the book" in page.text
        action = '/orders/ord_' + page.text.split('action="/orders/ord_')[1].split('"')[0]
        page = await browser.follow(await browser.send(page, action))
        assert "Cancelled" in page.text and "No open orders" in page.text
        for _ in range(3):
            page = await browser.follow(await browser.send(page, "/orders", **ORDER))
        assert page.text.count('action="/orders/ord_') == 3 and "Cancel all 3 open orders?" in page.text
        page = await browser.follow(await browser.send(page, "/orders/cancel-all"))
        house.tick()
        await asyncio.sleep(reach_shell.ACCOUNT_SECONDS)
        assert "No open orders" in (await browser.get("/orders")).text
    run(tmp_path, test)


def test_a_market_order_tells_what_it_filled(tmp_path):
    async def test(house, browser):
        house.order("b2", "b2", Side.SELL, 631_000, 2_000_000)
        page = await browser.get("/orders")
        assert "63,100.0" in page.text.split('class="ladder"')[1]
        page = await browser.follow(await browser.send(page, "/orders", **ORDER | {"type": "market", "price": ""}))
        assert "0.02 BTC filled at 63100 on average; the rest is cancelled" in page.text
        order = page.text.split('href="/orders/ord_')[1].split('"')[0]
        story = await browser.get(f"/orders/ord_{order}")
        assert "part filled" in story.text and "IMMEDIATE" in story.text
    run(tmp_path, test)


@pytest.mark.parametrize("changed, status, code", [
    ({"price": "62500.3"}, 422, "OFF_TICK"), ({"quantity": "x"}, 422, "BAD_QUANTITY"), ({"price": "50000"}, 303, ""), ({"price": "90000"}, 303, "COLLAR"),
    ({"quantity": "99999"}, 303, "MAX_QUANTITY"), ({"id": "zz"}, 422, "BAD_ID")])
def test_an_order_that_cannot_be_says_why_and_keeps_what_was_typed(tmp_path, changed, status, code):
    async def test(house, browser):
        answer = await browser.send(await browser.get("/orders"), "/orders", **ORDER | changed)
        assert answer.status_code == status
        page = await browser.follow(answer)
        assert code in page.text
        if code and "id" not in changed:
            assert f'value="{(ORDER | changed)["price"]}"' in page.text
    run(tmp_path, test)


def test_stopping_needs_the_password_again_and_the_accounts_name(tmp_path, monkeypatch):
    async def test(house, browser):
        page = await browser.get("/stop")
        assert (await browser.send(page, "/stop", account="borea")).status_code == 422
        monkeypatch.setattr("cambist.ops.web.sign_in_shell.fresh", lambda session, now: False)
        stale = await browser.send(page, "/stop", account="acme")
        assert stale.status_code == 303 and stale.headers["location"] == "/again?next=/stop"
        monkeypatch.undo()
        page = await browser.get("/stop")
        assert "Trading is stopped" in (await browser.follow(await browser.send(page, "/stop", account="acme"))).text
        await browser.get("/statement")
        assert "Trading of your account is stopped" in (await browser.get("/")).text
        assert "KILLED" in (await browser.follow(await browser.send(await browser.get("/orders"), "/orders", **ORDER))).text
    run(tmp_path, test)


def test_a_halt_cannot_be_missed(tmp_path):
    async def test(house, browser):
        house.do(Kind.HALT, "ines", instrument=BTC_USD, cancel=0)
        for _ in range(100):
            page = await browser.get("/")
            if "Halted: BTC/USD" in page.text:
                break
            await asyncio.sleep(0.02)
        assert "Halted: BTC/USD" in page.text
        assert "HALTED" in (await browser.follow(await browser.send(await browser.get("/orders"), "/orders", **ORDER))).text
    run(tmp_path, test)


# ------------------------------------------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize("path", [
    "/history?list=x", "/history?since=x", "/history?before=x", "/history?before=99999999999999999999", "/history?instrument=<b>", "/orders?instrument=<b>",
    "/orders?told=<b>", "/statement?period=9", "/sent/x", f"/sent/{'0' * 32}", f"/sent/{'1' * 32}", "/history.csv?list=<b>", "/history?a=1&a=2", "/requests/x"])
def test_a_wrong_address_is_refused_with_a_code(tmp_path, path):
    async def test(house, browser):
        answer = await browser.get(path)
        assert 400 <= answer.status_code < 500 and "<code>" in answer.text and "<b>" not in answer.text
    run(tmp_path, test)


def test_markup_in_every_field_comes_back_as_text(tmp_path):
    async def test(house, browser):
        request, orders, stop = await browser.get("/request"), await browser.get("/orders"), await browser.get("/stop")
        answers = [await browser.send(request, "/request", **REQUEST | {field: MARKUP}) for field in (*REQUEST, "id")]
        answers += [await browser.send(orders, "/orders", **ORDER | {field: MARKUP}) for field in (*ORDER, "instrument", "id")]
        answers += [await browser.send(stop, "/stop", account=MARKUP), await browser.send(orders, "/orders", **ORDER | {MARKUP: "1"})]
        answers += [await browser.get("/request/preview", params=REQUEST | {field: MARKUP}) for field in REQUEST]
        answers += [await browser.get("/history", params={field: MARKUP}) for field in ("list", "since", "until", "instrument", "before")]
        answers += [await browser.get("/orders", params={"side": MARKUP, "type": MARKUP, "quantity": MARKUP, "price": MARKUP}),
                    await browser.get("/request", params={field: MARKUP for field in REQUEST}), await browser.get(f"/orders/{MARKUP.replace('/', '')}")]
        for answer in answers:
            assert answer.status_code < 500 and "<script>alert" not in answer.text and "<img src" not in answer.text, answer.text
        assert not house.asked
    run(tmp_path, test)


# -------------------------------------------------------------------------------------------------------------------- a house that goes away
def test_while_the_house_is_away_pages_stay_and_nothing_is_sent(tmp_path):
    async def test(house, browser):
        page = await browser.get("/orders")
        house.take_away()
        assert "The house is not reachable" in (await browser.get("/")).text and (await browser.get("/history")).status_code == 200
        refused = await browser.send(page, "/orders", **ORDER)
        assert refused.status_code == 503 and "HOUSE_UNREACHABLE" in refused.text and "Nothing was sent" in refused.text and not house.asked
        house.give_back()
        assert "not reachable" not in (await browser.get("/")).text
        assert "Order accepted" in (await browser.follow(await browser.send(page, "/orders", **ORDER))).text      # the same form: it was never sent
    run(tmp_path, test)


def test_an_unknown_outcome_is_looked_up_and_never_sent_again(tmp_path, monkeypatch):
    monkeypatch.setattr(reach_shell, "LOOK_UP_SECONDS", 0.05)
    monkeypatch.setattr(reach_shell, "ANSWER_SECONDS", 0.0)
    monkeypatch.setattr(reach_shell, "VALID_NS", SECOND // 2)

    async def test(house, browser):
        house.lost = True                               # it goes out and is lost with the house
        page = await browser.get("/orders")
        told = await browser.follow(await browser.send(page, "/orders", **ORDER))
        assert "Unknown" in told.text and "being looked up" in told.text
        sent = told.url.params["told"]
        again = await browser.follow(await browser.send(page, "/orders", **ORDER))
        assert len(house.asked) == 1 and "Unknown" in again.text
        house.lost = False
        deadline = time.monotonic() + 10
        while "It was not done" not in (await browser.get(f"/sent/{sent}")).text and time.monotonic() < deadline:
            house.tick()
            await asyncio.sleep(0.05)
        assert "It was not done" in (await browser.get(f"/sent/{sent}")).text and len(house.asked) == 1

        house.deaf = True                               # it is done, and the answer is lost
        page = await browser.get("/orders")
        told = await browser.follow(await browser.send(page, "/orders", **ORDER))
        house.deaf = False
        deadline = time.monotonic() + 10
        while "Order accepted" not in (await browser.get(told.url.raw_path.decode())).text and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        assert "Order accepted" in (await browser.get(told.url.raw_path.decode())).text and len(house.asked) == 2
    run(tmp_path, test)


def test_a_killed_portal_signs_nobody_out_and_sends_nothing_twice(tmp_path):
    with_password(tmp_path)

    async def main():
        house = HouseInHand()
        house.fund("acme", "USD", 5_000_000 * 10**6)
        async with portal(tmp_path, house) as address:
            port = int(address.rsplit(":", 1)[1])
            browser = Browser(address)
            await browser.sign_in()
            page = await browser.get("/orders")
            await browser.send(page, "/orders", **ORDER)
        async with portal(tmp_path, house, port=port):
            assert "Order accepted" in (await browser.follow(await browser.send(page, "/orders", **ORDER))).text
            assert "No open orders" not in (await browser.get("/orders")).text
        await browser.http.aclose()
        assert sum(int(record["kind"][0]) == Kind.NEW_ORDER for record in house.asked) == 1
    asyncio.run(main())


def test_a_portal_that_starts_before_the_house_waits_for_it(tmp_path):
    with_password(tmp_path)

    async def main():
        house = HouseInHand()
        house.take_away()
        async with portal(tmp_path, house) as address, Browser(address) as browser:
            answer = await browser.sign_in()
            assert answer.status_code == 503 and "HOUSE_UNREACHABLE" in answer.text
            house.give_back()
            for _ in range(200):
                if (answer := await browser.sign_in()).status_code == 303:
                    break
                await asyncio.sleep(0.02)
            assert answer.status_code == 303 and (await browser.get("/")).status_code == 200
    asyncio.run(main())


def test_open_pages_end_with_the_portal_and_hear_what_changes(tmp_path):
    async def test(house, browser):
        async with browser.http.stream("GET", "/live/orders?instrument=BTC-USD", headers={"Accept": "text/event-stream"}) as stream:
            lines = stream.aiter_lines()

            async def until(words: str) -> None:
                async with asyncio.timeout(10):
                    async for line in lines:
                        if words in line:
                            return
            await until("open-orders")
            house.order("b2", "b2", Side.SELL, 631_000, 2_000_000)
            await until("63,100.0")
            house.take_away()
            await until("not reachable")
    run(tmp_path, test)


def test_the_statement_follows_the_ledger(tmp_path):
    async def test(house, browser):
        house.do(Kind.TRANSFER, "ada", "acme", to=ACCOUNT["borea"], asset=ASSET["USD"], amount=1_000_000 * 10**6 // 8)
        page = await browser.get("/statement")
        assert "4,875,000.00" in page.text
        assert "-125000" in (await browser.get("/history.csv?list=transfers")).text
    run(tmp_path, test)
