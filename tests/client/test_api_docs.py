"""docs/api.md says what the code is, and every example in docs/examples does what it says against a real house."""
import asyncio
import importlib.util
import re
import zlib
from pathlib import Path

import msgspec
import pytest

from cambist.client import OrderBook
from cambist.client.calls import AGAIN, ROUTES
from cambist.gateways import websocket
from cambist.gateways.replies import STATUS
from cambist.gateways.operations import OPERATIONS
from cambist.gateways.reasons import REASONS
from cambist.gateways.throttle import Limits
from tests.client.house_and_both_doors import in_both_doors
from tests.gateways.stand_in import until

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "api.md").read_text()
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))


def example(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", DOCS / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------------------------------------------------------------------------------ text
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_its_row(name):
    operation = OPERATIONS[name]
    row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{name}` "))
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[2] == f"{operation.method} {operation.path}" and set(cells[3].split(", ")) == set(operation.scopes)


def test_the_docs_name_no_operation_that_is_not_there():
    assert set(re.findall(r"^\| `(\w+\.\w+)` ", TEXT, re.MULTILINE)) == set(OPERATIONS) == set(ROUTES)


@pytest.mark.parametrize("code", websocket.Ended)
def test_every_close_code_is_explained(code):
    assert re.search(rf"^\| [\d, ]*\b{code.value}\b", TEXT, re.MULTILINE), code


def test_the_limits_are_those_of_the_code():
    limits = Limits()
    for row, rate in (("orders, requests", limits.business), ("cancels and", limits.cancels), ("reads", limits.reads), ("public reads", limits.public)):
        assert f"| {rate.per_second:,} | {rate.burst:,} |" in next(line for line in TEXT.splitlines() if line.startswith(f"| {row}"))
    for number in (websocket.MAX_IN_FLIGHT, websocket.MAX_PER_KEY, websocket.MAX_CONNECTIONS, websocket.TALK_PER_SECOND, websocket.TALK_BURST):
        assert re.search(rf"\b{number:,}\b", TEXT), number


def test_codes_have_the_status_they_are_told_with():
    rows = {code: int(cells[0].split(",")[0]) for line in TEXT.splitlines() if re.match(r"\| \d{3}[ ,]", line)
            for cells in [[cell.strip() for cell in line.strip("|").split("|")]] for code in re.findall(r"`([A-Z_]+)`", cells[1])}
    known = dict(STATUS) | {reason.name: status for reason, (status, _, _) in REASONS.items()}
    assert {code: (status, known[code]) for code, status in rows.items() if code in known and status != known[code] and known[code] != 504} == {}
    assert "UNKNOWN" in TEXT and AGAIN <= set(re.findall(r"[A-Z_]+", TEXT)) | {"UNAVAILABLE", "STOPPED"}


def test_the_messages_shown_are_json_and_their_book_holds():
    shown = "".join(re.findall(r"^```json\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)).replace("\n{", "\n\n{").split("\n\n")
    messages = [msgspec.json.decode(text) for text in shown]
    assert len(messages) > 5
    book = OrderBook("BTC-USD")
    told = [message for message in messages if message["op"] == "book"]
    for message in told:
        book.take(message)
    assert book.sequence == 42 and len(told) == 2
    text, number = re.search(r"`(64250\.5:[^`]*)` and the checksum (\d+)", TEXT).groups()
    assert zlib.crc32(text.encode()) == int(number)


# -------------------------------------------------------------------------------------------------------------------------------------- examples
def test_every_example_is_in_the_docs_and_runs_here():
    here = Path(__file__).read_text()
    for path in EXAMPLES:
        assert f"docs/examples/{path.name}" in TEXT and f'example("{path.stem}")' in here


def test_a_first_fill_against_the_dealer_of_the_other_example(tmp_path, capsys):
    async def test(opened):
        dealer = asyncio.create_task(asyncio.to_thread(example("quote_as_dealer").main, opened.rest, "b2", opened.pem("b2"), 1))
        await asyncio.sleep(0.5)                        # it asks where its stream stands, and goes on from there
        trade = await asyncio.to_thread(example("first_fill").main, opened.rest, "acme-bot", opened.pem("acme-bot"))
        quote, = await dealer
        assert trade["price"] == quote["ask"] == "64064.0" and trade["quantity"] == "0.25000000"
    in_both_doors(tmp_path, test)
    assert "bought 0.25000000 BTC at 64064.0" in capsys.readouterr().out


def test_market_data_is_shown(tmp_path, capsys):
    async def test(opened):
        world = opened.world
        shown = asyncio.create_task(example("market_data").main(opened.websocket, "BTC-USD", 2, 1))
        await until(lambda: any(opened.server._tapes.values()) and any(opened.server._books.values()))
        for key, side in (("acme-bot", "buy"), ("borea-bot", "sell")):
            status, _, _ = await world.perform("order.new", key, {"instrument": "BTC-USD", "side": side, "quantity": "0.5", "price": "63999.5"})
            assert status == 201
            await asyncio.sleep(0.1)
        await shown
    in_both_doors(tmp_path, test)
    out = capsys.readouterr().out
    assert "BTC-USD: sell 0.50000000 at 63999.5" in out and "63999.5 / -" in out


def test_a_program_that_stops_goes_on_where_it_was(tmp_path, capsys):
    async def test(opened):
        for price in ("63000", "63001", "63002"):
            await opened.world.perform("order.new", "acme-bot", {"instrument": "BTC-USD", "side": "buy", "quantity": "0.5", "price": price})
        words = (opened.rest, "acme-bot", opened.pem("acme-bot"), str(tmp_path / "cursor"))
        first = await asyncio.to_thread(example("resume").main, *words, 2)
        rest = await asyncio.to_thread(example("resume").main, *words)
        assert [event["cursor"] for event in first + rest] == list(range(1, len(first + rest) + 1)) and len(first) == 2
        assert [event["event"] for event in rest][-2:] == ["order_accepted"] * 2
        assert await asyncio.to_thread(example("resume").main, *words) == []
    in_both_doors(tmp_path, test)
