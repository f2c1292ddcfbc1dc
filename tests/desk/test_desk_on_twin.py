"""The whole house in one thread on the twin: a client asks, dealers and the desk quote, the client takes the desk's, the hedge fills outside, all is settled.

After every entry the auditor looks at the tables (House does so itself), so a run that ends has kept every invariant.
"""
from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from cambist.desk.quoting import Sender
from cambist.desk.pricing import read_explanation
from cambist.design import read_design
from cambist.feeds.streams import ALL
from cambist.messages import ChildState, Event, Kind, Reason, Side, command
from cambist.simulation.house import MS, SECOND, BrokenHouse, House, Request
from cambist.simulation.twin import Twin
from cambist.venues.noise import Noise
from cambist.venues.simulated import SimulatedSettings
from tests.scenarios import digests

BUY, SELL = Side.BUY, Side.SELL
XRP = 10**6
LUCK = {
    "good": SimulatedSettings(fee_ppm=100),
    "rejects": SimulatedSettings(reject_ppm=400_000),
    "partial": SimulatedSettings(partial_fill_ppm=600_000),
    "silence": SimulatedSettings(silence_ppm=400_000),
    "lost requests": SimulatedSettings(request_loss_ppm=300_000),
    "mute": SimulatedSettings(silence_ppm=1_000_000),
    "all at once": SimulatedSettings(reject_ppm=200_000, partial_fill_ppm=300_000, silence_ppm=200_000, request_loss_ppm=100_000),
}


@cache
def demo():
    return read_design((Path(__file__).parents[2] / "desks" / "demo.toml").read_text(), "demo.toml")


def opened(seed: int = 1, luck: str = "good", **more) -> House:
    house = House(Twin(), demo(), seed, venues={name: LUCK[luck] for name in demo().venues}, **more)
    house.run(house.now + 2 * SECOND)
    return house


def flat(house: House) -> bool:
    """Nothing open outside, and of each instrument no more than the design leaves alone (hedge_above: 5,000 dollars)."""
    done = all(row["state"] == ChildState.DONE for row in house.rows("children"))
    return done and all(abs(house.position(house.desk, n)) < house.terms[n].lot for n in house.quoter._markets)


def told(house: House, kind: Kind) -> int:
    return sum(int((records["kind"] == kind).sum()) for _, records in house.log)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_client_takes_the_desk_s_quote_and_everything_is_hedged_and_settled(side):
    house = opened()
    xrp = house.names["instruments"]["XRP/USD"]
    request = house.request("acme", "XRP/USD", side, 200_000 * XRP, choose=house.by_desk)
    house.run(house.now + 400 * MS)
    accounts = {shown.quote >> 32 & 0xFFFFFF for shown in request.quotes.values()}
    assert accounts == {house.desk, *(dealer.account for dealer in house.dealers.values())}       # two outside dealers and the desk
    assert house.run(house.now + 5 * SECOND, lambda: request.filled is not None)
    filled = request.filled
    assert filled["id"] >> 32 & 0xFFFFFF == house.desk and house.position(house.clients["acme"].account, xrp) == (1 if side == BUY else -1) * 200_000 * XRP
    assert house.run(house.now + 5 * SECOND, lambda: flat(house)), house.rows("children")
    # the explanation logged with the quote is of the price that traded
    explained = [read_explanation(text) for text in house.explanations.values()]
    assert filled["price"] in {one.ask if side == BUY else one.bid for one in explained}
    # the spread was earned, and the desk's own count agrees with the core's
    assert house.hedger.inventory.of(xrp).position == house.quoter.inventory.of(xrp).position == house.position(house.desk, xrp) == 0
    assert house.hedger.inventory.of(xrp).profit(house.terms[xrp], 0) > 0
    # netted and settled
    house.net()
    house.run(house.now + 3 * SECOND)
    assert house.rows("obligations") == [] and house.clerk.open == [] and told(house, Kind.SETTLE) >= 5
    assert all(row["unsettled"] == row["due"] == 0 for row in house.rows("balances")) and house.stranded() == {}


def test_the_best_price_wins_when_the_client_looks_at_price_alone():
    house = opened(dealer_spread_ppm=1)
    request = house.request("acme", "XRP/USD", BUY, 200_000 * XRP)
    house.run(house.now + 3 * SECOND)
    assert request.filled is not None and request.filled["id"] >> 32 & 0xFFFFFF != house.desk and told(house, Kind.NEW_CHILD) == 0


@pytest.mark.parametrize("luck", sorted(set(LUCK) - {"good"}))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bad_luck_ends_flat_all_the_same(luck, seed):
    house, noise = opened(seed, luck), Noise(seed)
    requests: list[Request] = []
    for _ in range(4):
        name, quantity = [("XRP/USD", noise.between(20, 300) * 1_000 * XRP), ("BTC/USD", noise.between(3, 15) * 10**7)][noise.below(2)]
        requests.append(house.request(["acme", "borea"][noise.below(2)], name, Side(noise.below(3)), quantity, choose=house.by_desk, wait_ns=300 * MS))
        house.run(house.now + noise.between(1, 1_500) * MS)
    assert house.run(house.now + 20 * SECOND, lambda: all(one.reason for one in requests))
    # enough: what is left is worth less than the design leaves alone, or nothing
    left = {n: 5_000 * 10**6 for n in house.quoter._markets}

    def quiet() -> bool:
        open_ones = [row for row in house.rows("children") if row["state"] != ChildState.DONE]
        worth = {n: house.terms[n].amount(abs(house.position(house.desk, n)), house.rows("instruments", instrument=n)[0]["reference"]) for n in left}
        return not open_ones and all(worth[n] <= left[n] for n in left)

    assert house.run(house.now + 60 * SECOND, quiet), (seed, house.rows("children"), list(house.said)[-5:])
    house.net()
    house.run(house.now + 3 * SECOND)
    assert house.rows("obligations") == [] and house.stranded() == {} and house.rows("stops") == [], f"seed {seed}"
    children = house.rows("children")
    assert children and sum(row["filled"] for row in children) > 0


@pytest.mark.parametrize("luck, unknown", [("good", False), ("mute", True)])
def test_a_venue_that_says_nothing_is_unknown_until_it_is_asked(luck, unknown):
    house = opened(luck=luck)
    house.request("acme", "XRP/USD", BUY, 200_000 * XRP, choose=house.by_desk)
    assert house.run(house.now + 10 * SECOND, lambda: told(house, Kind.CHILD_FILLED) > 0 and flat(house))
    assert (told(house, Kind.CHILD_UNKNOWN) > 0) == unknown


def test_a_large_request_waits_for_a_person():
    house = opened()
    request = house.request("acme", "XRP/USD", BUY, 2_000_000 * XRP, ttl_ns=20 * SECOND, wait_ns=1_300 * MS, choose=house.by_desk)
    house.run(house.now + SECOND)
    assert told(house, Kind.QUOTE) and not by_desk(house, request)
    held = house.rows("held")[-1]
    rhea = Sender(house.names["actors"]["rhea"], 0, 7, SECOND)
    house.submit([rhea.command(Kind.APPROVE, house.now, held=held["id"], **digests(np.array([held[f"w{i}"] for i in range(16)], "<i8")))])
    house.run(house.now + 200 * MS)
    [shown] = by_desk(house, request)
    assert shown.lapses == held["lapse"] and shown.ask in {read_explanation(text).ask for text in house.explanations.values()}
    assert house.run(house.now + 10 * SECOND, lambda: request.filled is not None)
    assert request.filled and request.filled["id"] == shown.quote


def test_a_large_request_that_a_person_passes_on_is_left_to_the_other_dealers():
    house = opened()
    request = house.request("acme", "XRP/USD", BUY, 2_000_000 * XRP, ttl_ns=20 * SECOND, wait_ns=10 * SECOND)
    house.run(house.now + SECOND)
    tomas = Sender(house.names["actors"]["tomas"], 0, 8, SECOND)
    house.submit([tomas.command(Kind.DENY, house.now, held=house.rows("held")[-1]["id"])])
    house.run(house.now + 200 * MS)
    asked = told(house, Kind.QUOTE)
    house.run(house.now + 8 * SECOND)
    assert told(house, Kind.QUOTE) == asked and by_desk(house, request) == [] and ("denied",) in [getattr(said.what, "reasons", ()) for said in house.said]


def by_desk(house: House, request: Request) -> list:
    return [shown for shown in request.quotes.values() if shown.quote >> 32 & 0xFFFFFF == house.desk]


def test_a_silent_market_is_not_quoted():
    house = opened()
    house._next_book.clear()                                                    # no book ever again
    house.run(house.now + 4 * SECOND)
    request = house.request("acme", "XRP/USD", BUY, 1_000 * XRP)
    house.run(house.now + SECOND)
    assert house.quoter.live() == {} and not any(shown.quote >> 32 & 0xFFFFFF == house.desk for shown in request.quotes.values())


def test_without_money_at_the_venues_the_hedge_is_refused_and_a_person_called():
    house = opened(funds={"USD": "0.000001", "XRP": "0.000001"})
    house.request("acme", "XRP/USD", BUY, 200_000 * XRP, choose=house.by_desk)
    house.run(house.now + 60 * SECOND)
    assert {Reason(event["reason"]) for event in _events(house, Event.REFUSED)} == {Reason.VENUE_FUNDS}
    assert any(type(said.what).__name__ == "Unhedged" for said in house.said) and told(house, Kind.NEW_CHILD) < 100
    house.net()
    house.run(house.now + 3 * SECOND)
    assert len(house.rows("obligations")) == len(house.clerk.open) > 0          # the buyer cannot pay either: due, and not tried without end
    assert told(house, Kind.SETTLE) < 30


def _events(house: House, kind: Event) -> list:
    parts, number = [], 1
    while number <= house.streams.last_number(ALL):
        parts.append(house.streams.read(ALL, number).events)
        number += len(parts[-1])
    every = np.concatenate(parts)
    return list(every[every["kind"] == kind])


def test_the_same_seed_gives_the_same_log():
    logs = []
    for _ in range(2):
        house = opened(5, "all at once")
        house.request("acme", "XRP/USD", BUY, 200_000 * XRP, choose=house.by_desk)
        house.run(house.now + 5 * SECOND)
        logs.append([(at, records.tobytes()) for at, records in house.log])
    assert logs[0] == logs[1]


def test_no_actor_hears_another_s_account_or_the_log_s_sequence():
    house, heard = opened(), []
    step = house.clients["acme"].step
    house.clients["acme"].step = lambda row, now: heard.append(row) or step(row, now)
    house.request("acme", "XRP/USD", BUY, 200_000 * XRP)
    house.run(house.now + 2 * SECOND)
    rows = [row for row in heard if row is not None]
    assert rows and {int(row["account"]) for row in rows} == {house.clients["acme"].account} and not any(row["sequence"] for row in rows)


def test_a_broken_invariant_stops_the_house():
    house = opened()
    balance = next(iter(house.engine.balances.values()))
    balance.available += 1
    with pytest.raises(BrokenHouse, match="custody less ownership"):
        house.submit([command(Kind.TICK, actor=house._clock)])
        house.turn()
