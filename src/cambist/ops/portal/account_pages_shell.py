"""The pages of the account: home at a glance, history, statement, and what became of one thing that was sent.

Decides what each page shows. What a statement is, is `standing.py`; a list of history, `lookback.py`.
"""
from typing import Any

from cambist.ops.portal import lookback, standing
from cambist.ops.portal.lobby_shell import Lobby, as_fault
from cambist.ops.portal.lookback import CSV_MOST, LISTINGS, PAGE, Listing, Span
from cambist.ops.portal.reach_shell import Trader
from cambist.ops.portal.sending import became
from cambist.ops.web.application_shell import Route
from cambist.ops.web.guards import Ask, Fault, Reply

CSV_PAGE = 1000
DAY_NS = 86_400 * 10**9
PERIODS = {"today": "Today", "7": "7 days", "30": "30 days", "365": "A year"}


class AccountPages:
    def __init__(self, lobby: Lobby) -> None:
        self._lobby, self._reach = lobby, lobby.reach

    def routes(self) -> tuple[Route, ...]:
        return (Route("GET", "/", self.home), Route("GET", "/live/home", self.live_home), Route("GET", "/history", self.history),
                Route("GET", "/history.csv", self.history_csv), Route("GET", "/statement", self.statement),
                Route("GET", "/live/statement", self.live_statement), Route("GET", "/sent/{id:str}", self.sent),
                Route("GET", "/live/sent/{id:str}", self.live_sent))

    # ------------------------------------------------------------------------------------------------------------------------------------- home
    async def home(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        return Reply(self._lobby.page("home.html", ask, trader, **await self._glance(trader)))

    async def live_home(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)

        async def render() -> dict[str, str]:
            return {**self._lobby.common(ask, trader), "glance": self._lobby.pages.draw("glance.html", ask, **await self._glance(trader))}
        topics = {f"market:{one.number}" for one in self._reach.dictionary.instruments}
        return self._lobby.hub.open(ask, frozenset({"house", f"account:{trader.account}", *topics}), render)

    async def _glance(self, trader: Trader) -> dict[str, Any]:
        reach, words = self._reach, self._reach.dictionary
        account = await reach.account(trader.account)
        fills = LISTINGS["fills"]
        return {"markets": [self._lobby.head(one) for one in words.instruments], "balances": standing.balances(account, words),
                "credit": standing.credit(account, words), "requests": standing.live_requests(account, words, reach.clock()),
                "orders": len(account["orders"]), "fills": lookback.lines(reach.history.events(account=trader.account, kinds=fills.kinds, limit=8), words),
                "obligations": standing.obligations(account, words)}

    # ------------------------------------------------------------------------------------------------------------------------------------ history
    async def history(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        name, listing, span, instrument = self._wanted(ask)
        before = self._before(ask)
        rows = self._rows(trader, listing, span, instrument, before, PAGE + 1)
        older = rows[PAGE - 1]["number"] if len(rows) > PAGE else None
        words = self._reach.dictionary
        return Reply(self._lobby.page("history.html", ask, trader, name=name, listing=listing, listings=LISTINGS, span=span, instrument=instrument,
                                      instruments=words.instruments, rows=lookback.lines(rows[:PAGE], words), older=older, before=before))

    async def history_csv(self, ask: Ask) -> Reply:
        """The same list whole, at most CSV_MOST lines."""
        trader = self._lobby.trader(ask)
        name, listing, span, instrument = self._wanted(ask)
        rows: list[dict[str, int]] = []
        before = None
        while len(rows) < CSV_MOST:
            part = self._rows(trader, listing, span, instrument, before, CSV_PAGE)
            rows += part
            if len(part) < CSV_PAGE:
                break
            before = part[-1]["number"]
        body = lookback.csv(listing, lookback.lines(rows[:CSV_MOST], self._reach.dictionary))
        return Reply(body, headers={"Content-Disposition": f'attachment; filename="cambist-{trader.account_name}-{name}.csv"'}, media_type="text/csv")

    def _wanted(self, ask: Ask) -> tuple[str, Listing, Span, str]:
        name = ask.query.get("list", "fills")
        if name not in LISTINGS:
            raise Fault(404, "UNKNOWN_LIST", f"There is no such list; there are {', '.join(LISTINGS)}.")
        with as_fault():
            span = lookback.read_span(ask.query.get("since", ""), ask.query.get("until", ""))
        instrument = ask.query.get("instrument", "")
        with as_fault(404):
            return name, LISTINGS[name], span, self._reach.dictionary.listed(instrument).symbol if instrument else ""

    @staticmethod
    def _before(ask: Ask) -> int | None:
        text = ask.query.get("before", "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 19):
            raise Fault(422, "BAD_PAGE", "There is no such page.")
        return int(text) if text else None

    def _rows(self, trader: Trader, listing: Listing, span: Span, instrument: str, before: int | None, limit: int) -> list[dict[str, int]]:
        number = self._reach.dictionary.listed(instrument).number if instrument else None
        return self._reach.history.events(account=trader.account, kinds=listing.kinds, instrument=number, before=before, since=span.since, until=span.until,
                                          limit=limit)

    # ---------------------------------------------------------------------------------------------------------------------------------- statement
    async def statement(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        return Reply(self._lobby.page("statement.html", ask, trader, **await self._standing(ask, trader)))

    async def live_statement(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)

        async def render() -> dict[str, str]:
            return {**self._lobby.common(ask, trader), "standing": self._lobby.pages.draw("standing.html", ask, **await self._standing(ask, trader))}
        return self._lobby.hub.open(ask, frozenset({"house", f"account:{trader.account}"}), render)

    async def _standing(self, ask: Ask, trader: Trader) -> dict[str, Any]:
        reach, words = self._reach, self._reach.dictionary
        period = ask.query.get("period", "30")
        if period not in PERIODS:
            raise Fault(422, "BAD_PERIOD", f"Choose one of {', '.join(PERIODS)}.")
        account, now = await reach.account(trader.account), reach.clock()
        since = now // DAY_NS * DAY_NS if period == "today" else now - int(period) * DAY_NS
        return {"balances": standing.balances(account, words), "positions": standing.positions(account, words, reach.references()),
                "credit": standing.credit(account, words), "obligations": standing.obligations(account, words), "period": period, "periods": PERIODS,
                "fees": standing.fees(reach.history.fees(trader.account, since, now + DAY_NS), words), "since": since}

    # --------------------------------------------------------------------------------------------------------------------------- what became of it
    async def sent(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)
        return Reply(self._lobby.page("sent.html", ask, trader, **self._became(ask, trader)))

    async def live_sent(self, ask: Ask) -> Reply:
        trader = self._lobby.trader(ask)

        async def render() -> dict[str, str]:
            return {**self._lobby.common(ask, trader), "told": self._lobby.pages.draw("sent_part.html", ask, **self._became(ask, trader))}
        return self._lobby.hub.open(ask, frozenset({"house", f"account:{trader.account}"}), render)

    def _became(self, ask: Ask, trader: Trader) -> dict[str, Any]:
        with as_fault(404):
            sent = self._reach.find(trader, ask.values["id"])
        if sent is None:
            raise Fault(404, "UNKNOWN_ID", "Nothing was sent from here under this id within a day.")
        return {"sent": sent, "told": became(sent, self._reach.answer(sent), self._reach.dictionary)}
