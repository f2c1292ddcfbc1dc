"""The console against a real node: who comes in, what each page shows, and what its buttons really do."""
import asyncio
import contextlib
import re

import httpx

from cambist.messages import Event, Kind, Reason, Side

from tests.ops.console.little_house import DESIGN, LittleHouse

PAGES = ("/", "/approvals", "/blotter", "/positions", "/unknown", "/latency", "/control", "/design", "/story")
PATIENCE = 20.0
MARKUP = "<script>alert(1)</script>"


class Staff:
    """One person's browser."""

    def __init__(self, address: str) -> None:
        self.http = httpx.AsyncClient(base_url=address, headers={"Origin": address, "Sec-Fetch-Site": "same-origin"}, timeout=20)

    async def sign_in(self, person: str, password: str) -> httpx.Response:
        proof = field((await self.http.get("/login")).text, "proof")
        return await self.http.post("/login", data={"proof": proof, "person": person, "password": password, "next": "/"})

    async def get(self, path: str) -> httpx.Response:
        return await self.http.get(path, follow_redirects=True)

    async def post(self, path: str, **data: str) -> httpx.Response:
        """With the proof of this sign-in."""
        proof = field((await self.http.get("/story")).text, "proof")
        return await self.http.post(path, data={"proof": proof, **data}, follow_redirects=True)

    async def send(self, text: str, form: str, **changed: str) -> httpx.Response:
        """A form of a page as it stands there, some fields changed."""
        found = re.search(rf'<form method="post" action="({form})".*?</form>', text, re.DOTALL)
        assert found, f"no form {form} in {text[:2000]}"
        fields = dict(re.findall(r'<input[^>]*? name="(\w+)"[^>]*? value="([^"]*)"', found[0]))
        return await self.http.post(found[1], data={**fields, **changed}, follow_redirects=True)


def field(text: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', text)
    assert found, text[:500]
    return found[1]


@contextlib.asynccontextmanager
async def scene(tmp_path, *people: str, text: str | None = None):
    """A house with prices and money, its console, and people signed in."""
    house = LittleHouse(tmp_path, text)
    async with house.node():
        await house.fund()
        await house.prices({"BTC/USD": 600_000, "XRP/USD": 50_000})
        async with house.console() as address:
            staff = [Staff(address) for _ in people]
            for one, person in zip(staff, people, strict=True):
                assert (await one.sign_in(person, house.passwords[person])).status_code == 303
                await until(one, "/", "Open requests")
            try:
                yield house, *staff
            finally:
                print("\n".join(house.said))             # what the operator heard: a failed test shows it
                for one in staff:
                    await one.http.aclose()
                await house.link.close()


async def until(page, path: str, words: str) -> str:
    async with asyncio.timeout(PATIENCE):
        while words not in (text := (await page.get(path)).text):
            await asyncio.sleep(0.1)
    return text


def run(test) -> None:
    asyncio.run(asyncio.wait_for(test, 120))


def test_every_page_is_drawn_for_staff_and_closed_to_clients(tmp_path):
    async def test():
        async with scene(tmp_path, "rhea") as (house, rhea):
            await house.trade("acme", "BTC/USD", Side.BUY, "1", 600_000)
            for path in PAGES:
                reply = await rhea.get(path)
                assert reply.status_code == 200 and "Traceback" not in reply.text and "{{" not in reply.text, path
            text = await until(rhea, "/blotter", "acme")
            assert "/story/quo_" in text
            for kind in ("requests", "orders", "children", "money", "refusals", "people", "all", "nonsense"):
                assert (await rhea.get(f"/blotter?kind={kind}")).status_code == 200
            assert (await rhea.get("/blotter?account=nobody")).status_code == 404
            client = Staff(str(rhea.http.base_url).rstrip("/"))
            assert "WRONG_LOGIN" in (await client.sign_in("ada", house.passwords["ada"])).text
            assert (await client.http.get("/")).status_code == 303
            await client.http.aclose()
    run(test())


def test_a_large_price_is_approved_by_one_person_and_never_by_who_asked(tmp_path):
    async def test():
        async with scene(tmp_path, "rhea", "tomas") as (house, rhea, tomas):
            request = await house.request("acme", "BTC/USD", Side.BUY, "25", 30)
            text = await until(rhea, "/", 'action="/price"')
            priced = await rhea.send(text, "/price", ask="60100", stands="30s")
            assert "it waits for a second person" in priced.text
            mine = await until(rhea, "/approvals", "nobody approves their own")
            refused = await rhea.send(mine, "/approve")                                 # the button is disabled; who sends the form all the same hears the core
            assert "SAME_PERSON" in refused.text and "nobody approves their own" in refused.text
            theirs = await until(tomas, "/approvals", "Approve these bytes")
            assert "60,100.0" in theirs and "sha-256" in theirs
            stale = await tomas.send(theirs, "/approve", sha256="00" * 32)
            assert stale.status_code == 409 and "WRONG_DIGEST" in stale.text
            done = await tomas.send(theirs, "/approve")
            assert "Done." in done.text
            assert "a price a person gave" in await until(rhea, "/", "Pass: take the quote back")       # its own command has no parts either
            quotes = [row for row in await _about(house, request) if row["kind"] == Event.QUOTED]
            assert [row["amount"] for row in quotes] == [601_000]
            again = await tomas.send(theirs, "/approve")
            assert again.status_code == 409 and "It does not wait any more" in again.text
    run(test())


async def _about(house, request):
    from cambist.explain_shell import LogSource
    from cambist.log.disk_shell import RealDisk
    await asyncio.sleep(0.2)
    return LogSource(RealDisk(), str(house.folder)).find((request,), ())


def test_the_engines_proposal_is_shown_part_by_part_approved_and_passed_on(tmp_path):
    async def test():
        async with scene(tmp_path, "ines", "rhea") as (house, ines, rhea):
            first = await house.request("acme", "BTC/USD", Side.BUY, "25", 30)
            assert (await house.quote(first, "BTC/USD", 600_000, Side.BUY, "25", 29))[0]["kind"] == Event.HELD
            text = await until(rhea, "/", "Approve the engine")
            for part in ("mid of the sources", "half spread", "inventory skew", "hedge cost", "time it stands", "kestrel"):
                assert part in text
            assert "has no key that may quote" in (await until(ines, "/", "Approve the engine"))
            assert "Done." in (await rhea.send(text, "/approve")).text
            shown = await until(rhea, "/", "Pass: take the quote back")
            assert "The live quote, part by part" in shown and "inventory skew" in shown and "kestrel" in shown
            assert "Done." in (await rhea.send(shown, "/withdraw")).text
            await house.quote(first, "BTC/USD", 600_000, Side.BUY, "25")
            text = await until(rhea, "/", "Approve the engine")
            assert "Done." in (await rhea.send(text, "/deny")).text
            assert (await house.link.read("held"))[1]["held"] == []
    run(test())


def test_a_form_sent_twice_counts_once(tmp_path):
    async def test():
        async with scene(tmp_path, "rhea") as (house, rhea):
            request = await house.request("acme", "XRP/USD", Side.SELL, "1000")
            text = await until(rhea, "/", 'action="/price"')
            first, second = await asyncio.gather(*(rhea.send(text, "/price", bid="0.49990", stands="5s") for _ in range(2)))
            assert "Done." in first.text and "Done." in second.text
            assert len([row for row in await _about(house, request) if row["kind"] == Event.QUOTED]) == 1
    run(test())


BAD_INPUT = [
    ({"ask": "NaN"}, 422, "BAD_PRICE"), ({"ask": "-1"}, 422, "BAD_PRICE"), ({"ask": "1e5"}, 422, "BAD_PRICE"), ({"ask": MARKUP}, 422, "BAD_PRICE"),
    ({"ask": "60000.05"}, 422, "BAD_PRICE"), ({"stands": "forever"}, 422, "BAD_TTL"), ({"request": "req_nothing"}, 404, "UNKNOWN_REQUEST"),
    ({"request": MARKUP}, 404, "UNKNOWN_REQUEST"), ({"ask": "60100", "stands": "5s", "id": "x"}, 422, "BAD_ID"), ({"extra": "1"}, 400, "UNKNOWN_FIELD")]


def test_bad_input_is_refused_with_a_code_and_nothing_is_sent(tmp_path):
    async def test():
        async with scene(tmp_path, "rhea") as (house, rhea):
            request = await house.request("acme", "BTC/USD", Side.BUY, "1")
            text = await until(rhea, "/", 'action="/price"')
            for fields, status, code in BAD_INPUT:
                reply = await rhea.send(text, "/price", **fields)
                assert reply.status_code == status and code in reply.text and "<script>alert" not in reply.text, fields
                assert not [row for row in await _about(house, request) if row["kind"] in (Event.QUOTED, Event.REFUSED)], fields
    run(test())


def test_the_kill_switch_asks_for_its_name_and_every_page_shows_it(tmp_path):
    async def test():
        async with scene(tmp_path, "ines", "rhea") as (house, ines, rhea):
            question = await ines.get("/control/kill-all/everything")
            assert "Type EVERYTHING to go on" in question.text
            wrong = await ines.send(question.text, "/control/kill-all/everything", typed="everything")
            assert wrong.status_code == 422 and "Nothing was sent" in wrong.text and not (await house.link.read("status"))[1]["cell"]["killed_all"]
            done = await ines.send(question.text, "/control/kill-all/everything", typed="EVERYTHING")
            assert "Done." in done.text and (await house.link.read("status"))[1]["cell"]["killed_all"]
            assert "stopped with all" in done.text and "● trading" not in done.text
            for path in PAGES:
                assert "Kill switch: all trading is stopped" in (await rhea.get(path)).text, path
            assert (await rhea.get("/control/kill-all/everything")).status_code == 403
            revive = await ines.get("/control/revive-all/everything")
            assert "waits" in (await ines.send(revive.text, "/control/revive-all/everything", typed="EVERYTHING")).text
            halted = await rhea.get("/control/halt/BTC-USD")
            assert "Done." in (await rhea.send(halted.text, "/control/halt/BTC-USD", typed="BTC/USD")).text
            assert "BTC/USD is halted" in (await rhea.get("/")).text
            for path in ("/control/explode/all", "/control/kill/nobody", "/control/halt/DOGE-USD", "/control/kill-all/acme"):
                assert (await ines.get(path)).status_code == 404
    run(test())


def test_sessions_are_called_and_a_volatility_auction_is_on_every_page(tmp_path):
    async def test():
        async with scene(tmp_path, "ines", "rhea") as (house, ines, rhea):
            assert "● continuous" in (await ines.get("/control")).text
            question = await ines.get("/control/auction/BTC-USD")
            assert "Minutes it lasts" in question.text and "Type BTC/USD to go on" in question.text
            wrong = await ines.send(question.text, "/control/auction/BTC-USD", typed="BTC/USD", minutes="1.5")
            assert wrong.status_code == 422 and "Nothing was sent" in wrong.text
            assert "Done." in (await ines.send(question.text, "/control/auction/BTC-USD", typed="BTC/USD", minutes="5")).text
            assert "BTC/USD: auction for trading until" in await until(rhea, "/blotter", "auction for trading until")
            control = await until(ines, "/control", "End the auction")
            assert 'href="/control/continuous/BTC-USD"' in control
            assert 'href="/control/close/BTC-USD"' not in control, "an auction leads only to what it was called for"
            assert (await rhea.get("/control/auction/BTC-USD")).status_code == 403
            question = await ines.get("/control/continuous/BTC-USD")
            assert "Done." in (await ines.send(question.text, "/control/continuous/BTC-USD", typed="BTC/USD")).text
            await house.ask(Kind.CANCEL_ALL, "mara", "b2")          # any command works the end of the auction on
            await until(ines, "/control", 'href="/control/close/BTC-USD"')
    run(test())


def test_a_key_is_stopped_apart_from_its_account_and_a_frozen_protection_is_reset(tmp_path):
    protected = DESIGN.read_text().replace('quantity = "25", delta = "15", window = "5s"', 'quantity = "1", window = "60s"')

    async def test():
        async with scene(tmp_path, "ines", "rhea", text=protected) as (house, ines, rhea):
            question = await ines.get("/control/kill-key/acme-bot")
            assert "Done." in (await ines.send(question.text, "/control/kill-key/acme-bot", typed="acme-bot")).text
            await until(rhea, "/", "Key acme-bot is stopped by the kill switch")
            mid = 631_200
            await house.prices({"BTC/USD": mid})
            quoted = await house.ask(Kind.MASS_QUOTE, "b2", "b2", "BTC/USD", ask=mid + 10, ask_quantity=house.units("BTC/USD", "2"))
            assert quoted[0]["kind"] == Event.BOOK_QUOTED
            await house.ask(Kind.NEW_ORDER, "borea-bot", "borea", "BTC/USD", side=0, price=mid + 10, quantity=house.units("BTC/USD", "1"))
            assert "Quotes of b2 BTC/USD are withdrawn by protection" in await until(rhea, "/", "withdrawn by protection")
            assert "Protection BTC/USD, traded in 60.00 s" in await until(ines, "/positions", "■ frozen")
            question = await ines.get("/control/reset/b2@BTC-USD")
            assert "Done." in (await ines.send(question.text, "/control/reset/b2@BTC-USD", typed="b2 BTC/USD")).text
            assert "● quoting" in await until(ines, "/control", "● quoting")
            for path in ("/control/reset/b2", "/control/reset/b2@DOGE", "/control/kill-key/nobody", "/control/auction/BTC"):
                assert (await ines.get(path)).status_code == 404
    run(test())


def test_a_stale_password_is_asked_for_again_before_a_stop(tmp_path, monkeypatch):
    async def test():
        async with scene(tmp_path, "ines") as (house, ines):
            question = await ines.get("/control/kill/acme")
            monkeypatch.setattr("cambist.ops.web.sessions.FRESH_NS", 0)
            assert "Your password again" in (await ines.get("/control/kill/acme")).text
            assert "Your password again" in (await ines.send(question.text, "/control/kill/acme", typed="acme")).text
            assert not (await house.link.read("account", account=house.names["accounts"]["acme"]))[1]["account"]["killed"]
    run(test())


def test_a_story_is_told_by_any_id_and_a_refusal_says_why(tmp_path):
    async def test():
        async with scene(tmp_path, "oskar") as (house, oskar):
            request = await house.trade("acme", "BTC/USD", Side.SELL, "2", 600_000)
            await house.settle()
            await house.prices({"BTC/USD": 600_000})         # settling may have taken longer than a price is fresh
            refused = await house.ask(Kind.NEW_ORDER, "acme-bot", "acme", "BTC/USD", side=Side.BUY, price=700_000, quantity=10**8)
            assert refused[0]["reason"] == Reason.COLLAR
            text = await until(oskar, f"/story?id={request}", "settled: acme received")
            for part in ("asks for a quote", "desk invited to quote", "half spread", "accepts for acme", "hedged at kestrel", "cut-off", "Stage by stage",
                         "executed"):
                assert part in text, part
            assert "unmeasured" not in text
            place = re.search(r"/story/(@\d+)", await until(oskar, "/blotter?kind=refusals", "collar"))
            told = (await oskar.get(f"/story/{place[1]}")).text
            assert "the price is too far from the reference" in told and "limit: 5 %" in told
            assert (await oskar.get("/story/hello")).status_code == 404 and "no id of this house" in (await oskar.get("/story/hello")).text
            assert (await oskar.get(f"/story?id={MARKUP}")).status_code == 200 and MARKUP not in (await oskar.get(f"/story?id={MARKUP}")).text
            assert "The last trade, stage by stage" in (await until(oskar, "/latency", "quo_"))
    run(test())


def test_what_is_unknown_is_listed(tmp_path):
    async def test():
        async with scene(tmp_path, "oskar") as (house, oskar):
            await house.hedge("BTC/USD", Side.BUY, "2", 600_000, unknown=True)
            await house.ask(Kind.CHILD_CLOSED, "feed-osprey", child=12345678901, venue=2, cum_quantity=5, why=0)
            await until(oskar, "/unknown", "kestrel: 2 BTC open")
            text = await until(oskar, "/unknown", "matches no child order of ours")
            assert "an answer never came" in text and "has never posted a price" in text
    run(test())


def test_it_starts_before_the_node_and_outlives_it(tmp_path):
    async def test():
        house = LittleHouse(tmp_path)
        async with house.console() as address:
            early = Staff(address)
            assert (await early.sign_in("rhea", house.passwords["rhea"])).status_code == 303
            for path in PAGES:
                assert "Node not reachable" in (await early.get(path)).text, path
            assert (await early.get("/story/@1")).status_code == (await early.get("/control/kill/acme")).status_code == 503
            async with house.node():
                await until(early, "/", "Open requests")
                assert "Node not reachable" not in (await early.get("/")).text
            assert "Node not reachable" in await until(early, "/", "Node not reachable")
            assert (await early.post("/deny", held="hld_x", id="0" * 32, back="/")).status_code == 404
            async with house.node():
                async with asyncio.timeout(PATIENCE):
                    while "Node not reachable" in (await early.get("/positions")).text:
                        await asyncio.sleep(0.1)
                assert "Lines and balances of desk" in (await early.get("/positions")).text
            await early.http.aclose()
            await house.link.close()
    run(test())
