"""Every route for every key: whose scope, whose account, which kind of account. One table, one status for each cell."""
import itertools

import numpy as np
import pytest

from cambist.gateways.operations import ROWS, statuses
from cambist.messages import Event, Kind

from tests.gateways.house_fixture import in_a_world
from tests.scenarios import digests

KEYS = ("acme-bot", "acme-reader", "acme-trader", "acme-canceller", "acme-payer", "acme-killer", "borea-bot", "b2", "b2-quoter", "idle", "acme-off", "nobody",
        "ines", "")
SCOPES = {"acme-bot": {"read", "trade", "transfer"}, "acme-reader": {"read"}, "acme-trader": {"trade"}, "acme-canceller": {"cancel"},
          "acme-payer": {"transfer"}, "acme-killer": {"kill"}, "borea-bot": {"read", "trade"}, "b2": {"read", "trade", "quote"},
          "b2-quoter": {"quote"}, "idle": {"read", "trade"}, "ines": {"read"}}
OWNERS = {"acme": "acme-bot", "borea": "borea-bot", "b2": "b2"}
DEALERS = {"b2", "b2-quoter"}


def of(key):
    """The account a key acts for."""
    return next((account for account in OWNERS if key.startswith(account)), "")


class Board:
    """Things of two accounts to be named: an order and a request of acme and of borea, quotes of b2 on acme's request."""
    async def lay(self, world):
        self.world = world
        self.orders, self.requests = {}, {}
        for account in ("acme", "borea"):
            status, told, _ = await world.perform("order.new", OWNERS[account], order("62000"))
            assert status == 201
            self.orders[account] = told["order"]
            status, told, _ = await world.perform("request.new", OWNERS[account], {"instrument": "BTC-USD", "side": "buy", "quantity": "1", "ttl_ms": 30_000})
            assert status == 201
            self.requests[account] = told["request"]
            status, told, _ = await world.perform("quote.new", "b2", {"request": self.requests[account], "ask": "64010", "ttl_ms": 30_000})
            assert status == 201
        self.quote = told["quote"]
        status, told, _ = await world.perform("order.new", "b2", order("61000"))
        self.orders["b2"] = told["order"]

    def call(self, name, owner):
        """Path and body of an operation on a thing of `owner`."""
        row = next(row for row in ROWS if row.name == name)
        thing = {"order": self.orders.get(owner), "request": self.requests.get(owner, self.requests["acme"]), "quote": self.quote}.get(row.named)
        return row.method, row.path.replace(f"{{{row.named}}}", thing or ""), BODIES.get(name)


def order(price):
    return {"instrument": "BTC-USD", "side": "buy", "price": price, "quantity": "0.01"}


BODIES = {"order.new": order("61500"), "order.amend": {"price": "62000.5", "quantity": "0.01"},
          "request.new": {"instrument": "BTC-USD", "side": "buy", "quantity": "0.5", "ttl_ms": 30_000},
          "request.accept": {"side": "buy", "limit_price": "64010"}, "quote.new": {"ask": "64020", "ttl_ms": 30_000},
          "transfer.new": {"to": "borea", "asset": "USD", "amount": "1"}, "kill.new": {}, "dead_man.set": {"ttl_ms": 5_000},
          "list.new": {"instrument": "BTC-USD", "kind": "oto", "side": "buy", "quantity": "0.01", "orders": [{"price": "61500"}, {"price": "66000"}]},
          "quote.mass": {"quotes": [{"instrument": "BTC-USD", "bid": "61400", "bid_quantity": "0.01"}]}, "protection.reset": {"instrument": "BTC-USD"}}
# What a key whose scope reaches, on a thing of its own, is told: by the kind of its account.
CLIENT = {"order.new": 201, "list.new": 201, "request.new": 201, "transfer.new": 201, "quote.withdraw": 403, "invitation.list": 403}
DEALER = {"order.new": 201, "list.new": 201, "quote.mass": 201, "quote.new": 201,
          "request.new": 403, "transfer.new": 403, "kill.new": 403, "request.get": 404, "request.cancel": 403,
          "request.accept": 403}
# What is someone else's is as if it were not there, but for what a role may not do at all.
NAMED = {"order.get", "order.amend", "order.cancel", "request.get", "request.cancel", "request.accept"}


def expected(name, scopes, key, owner):
    """One cell of the matrix."""
    if key in ("", "nobody"):
        return 401
    if key == "acme-off":
        return 403
    if not SCOPES[key] & set(scopes):
        return 403
    if key in ("idle", "ines"):
        return 403
    own = DEALER if key in DEALERS else CLIENT
    if name in NAMED and owner != of(key):
        return 403 if own.get(name) == 403 else 404
    return own.get(name, 200)


def cells():
    for row in ROWS:
        owners = ("acme", "borea") if row.named in ("order", "request") else ("acme",)
        for key, owner in itertools.product(KEYS, owners):
            yield row.name, key, owner


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_each_cell_of_an_operation(name, tmp_path):
    async def test(world):
        row = next(row for row in ROWS if row.name == name)
        seen, board = {}, None
        for key, owner in ((key, owner) for each, key, owner in cells() if each == name):
            if board is None:
                board = Board()
                await board.lay(world)
            method, path, body = board.call(name, of(key) if row.named == "order" and owner == "acme" and key in DEALERS else owner)
            mine = of(key) if row.named == "order" and owner == "acme" and key in DEALERS else owner
            async with world.client() as client:
                if key:
                    private = world.secrets.get(key, world.secrets["acme-bot"])
                    answer = await world.call(client, key, method, path, body, private=private)
                else:
                    answer = await client.request(method, path, json=body) if body is not None else await client.request(method, path)
            seen[key, mine] = answer.status_code
            assert answer.status_code == expected(name, row.scopes, key, mine), (name, key, mine, answer.text)
            assert answer.status_code in (*statuses(row), row.status, 202)
            if answer.status_code >= 400:
                told = answer.json()["error"]
                assert told["code"] and told["message"]
                for other in set(OWNERS) - {of(key)} - ({"borea"} if name == "transfer.new" else set()):
                    assert other not in told["message"], "an answer names an account that is not the asker's"
            if row.changes and answer.status_code < 300:
                board = None                            # the next cell finds everything in its place again
                if name == "kill.new":
                    revive(world, of(key))
        assert len(set(seen.values())) > 1
    in_a_world(test, rest=True)(tmp_path)


def revive(world, account):
    """Two people of risk."""
    held = next(row for row in world.inside.do(Kind.REVIVE, "ines", account) if row["kind"] == Event.HELD)
    record = next(row for row in world.behind.node.cell.tables()["held"][2].tolist() if row[0] == held["id"])
    told = world.inside.do(Kind.APPROVE, "oskar", held=held["id"], **digests(np.array([record[-16:]], np.int64)))
    assert any(row["kind"] == Event.APPROVED for row in told), told


async def _nothing_of_a_refused_cell_was_done(world):
    """Every cell but those that are let in, and then the house is as it was."""
    board = Board()
    await board.lay(world)
    before = world.behind.node.cell.sequence
    async with world.client() as client:
        for name, key, owner in cells():
            row = next(row for row in ROWS if row.name == name)
            if key in ("", "nobody", "acme-off", "idle", "ines") or not SCOPES[key] & set(row.scopes):
                method, path, body = board.call(name, owner)
                private = world.secrets.get(key, world.secrets["acme-bot"])
                answer = await world.call(client, key, method, path, body, private=private)
                assert answer.status_code in (401, 403)
    assert world.behind.node.cell.sequence == before, "who is not let in never enters the log"


async def _what_is_anothers_and_what_is_not_there_are_told_alike(world):
    board = Board()
    await board.lay(world)
    nothing = {"order": "ord_" + "a" * 26, "request": "req_" + "a" * 26, "quote": "quo_" + "a" * 26}
    async with world.client() as client:
        for name in ("order.get", "order.amend", "order.cancel", "request.get", "request.cancel", "request.accept", "quote.withdraw"):
            row = next(row for row in ROWS if row.name == name)
            key = "b2-quoter" if name == "quote.withdraw" else "borea-bot"
            theirs = {"order": board.orders["acme"], "request": board.requests["acme"], "quote": board.quote}[row.named]
            if name == "quote.withdraw":
                key, theirs = "c3", board.quote
            told = []
            for thing in (theirs, nothing[row.named], "x", "%3Cscript%3E", world.house.dictionary.opaque.text(row.named, 12345)):
                answer = await world.call(client, key, row.method, row.path.replace(f"{{{row.named}}}", thing), BODIES.get(name))
                told.append((answer.status_code, answer.text))
            assert len(set(told)) == 1 and told[0][0] == 404, (name, told)


test_nothing_of_a_refused_cell_was_done = in_a_world(_nothing_of_a_refused_cell_was_done, rest=True)
test_what_is_anothers_and_what_is_not_there_are_told_alike = in_a_world(_what_is_anothers_and_what_is_not_there_are_told_alike, rest=True)


def test_the_table_is_whole():
    assert {key for _, key, _ in cells()} == set(KEYS) and {name for name, _, _ in cells()} == {row.name for row in ROWS}
