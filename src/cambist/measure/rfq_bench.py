"""`cambist bench rfq`: from a client's request to the first quote it is shown, through a real node process, beside two fdatasyncs at the same rate; and the
same for a client outside, who asks and listens over the gateway's WebSocket.

The dealer here prices nothing: it answers what it is asked with a fixed quote, so that what is measured is the house, not a pricing model.
"""
import asyncio
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cambist.client.calls import frame
from cambist.client.signing import logon_text, signed
from cambist.door.client import StreamKind
from cambist.door.client_shell import Client
from cambist.measure.flow import LOT_UNITS, MID, Desk
from cambist.measure.floor import paced_syncs
from cambist.measure.gateway_bench import INSTRUMENT, KEY, WINDOW, House, Latencies, house, paced
from cambist.measure.served import served
from cambist.measure.spread import median_of, percentiles
from cambist.messages import COMMAND, LAYOUT, NUMBERED, Event, Kind, command

RATE = 200                                      # requests a second
ENTRY_BYTES = 144 + 128 + 32                    # one command in an entry of its own
SILENCE_SECONDS = 2.0


class _Dealer(threading.Thread):
    """Answers every invitation with one quote."""

    def __init__(self, desk: Desk, path: str):
        super().__init__(daemon=True)
        self.account, self.key = desk.names["accounts"]["b2"], desk.names["actors"]["b2"]
        self.listen, self.speak = Client(path), Client(path)
        self.subscription = self.listen.subscribe(StreamKind.ACCOUNT, self.account, cursor=0)
        self.answered = 0

    def run(self) -> None:
        for batch in self.listen.batches(self.subscription, SILENCE_SECONDS):
            asked = batch.events[batch.events["kind"] == Event.REQUEST_INVITED]
            if not len(asked):
                continue
            quotes = np.zeros(len(asked), LAYOUT[Kind.QUOTE])
            quotes["kind"], quotes["flags"], quotes["account"], quotes["actor"] = Kind.QUOTE, NUMBERED, self.account, self.key
            quotes["id_lo"] = self.answered + 1 + np.arange(len(asked))
            quotes["request"], quotes["ask"], quotes["ttl"] = asked["id"], MID + 30, 900_000_000
            self.answered += len(asked)
            self.speak.submit(quotes.view(COMMAND))


def _run(desk: Desk, path: str, count: int) -> dict[str, float]:
    account, key = int(desk.accounts[0]), int(desk.keys[0])
    dealer = _Dealer(desk, path)
    dealer.start()
    listen, due, came = Client(path), np.zeros(count, np.int64), np.zeros(count, np.int64)
    subscription = listen.subscribe(StreamKind.ACCOUNT, account, cursor=0)

    def hear() -> None:
        opened: dict[int, int] = {}
        for batch in listen.batches(subscription, SILENCE_SECONDS):
            now = time.perf_counter_ns()
            for e in batch.events:
                if e["kind"] == Event.REQUEST_OPENED:
                    opened[int(e["id"])] = int(e["id_lo"]) - 1
                elif e["kind"] == Event.QUOTE_SHOWN and (i := opened.get(int(e["other"]), -1)) >= 0 and not came[i]:
                    came[i] = now

    hearing = threading.Thread(target=hear, daemon=True)
    hearing.start()
    began = time.perf_counter_ns() + 50_000_000
    with Client(path) as client:
        for i in range(count):
            due[i] = began + i * 10**9 // RATE
            while (left := int(due[i]) - time.perf_counter_ns()) > 0:
                time.sleep(left / 1e9)
            client.submit(command(Kind.REQUEST_QUOTE, flags=NUMBERED, instrument=desk.names["instruments"]["BTC/USD"], account=account, actor=key, id_lo=i + 1,
                                  quantity=100 * LOT_UNITS, ttl=1_000_000_000))
    hearing.join(60)
    dealer.join(60)
    for client in (listen, dealer.listen, dealer.speak):
        client.close()
    return percentiles((came - due)[came > 0]) | {"not_heard": int((came == 0).sum())}


class _Told(msgspec.Struct):
    """What is read of a message: an answer names the client id, an event its request."""
    op: str
    id: str = ""
    status: int = 0
    challenge: str = ""
    body: dict[str, Any] = {}


async def _over_websocket(at: House, count: int) -> dict[str, float]:
    """Requests of acme over one WebSocket; heard is the first quote of each on its private channel."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
    kept, ready, prefix, opened = Latencies(count), asyncio.Event(), os.urandom(8).hex(), dict[str, int]()
    early = dict[str, int]()                            # a quote may be heard before the answer that names its request

    class Listener(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type != WSMsgType.TEXT:
                return
            now, told = time.perf_counter_ns(), msgspec.json.decode(frame.get_payload_as_bytes(), type=_Told)
            if told.op == "challenge":
                signature = signed(at.private_key, logon_text(told.challenge, KEY))
                transport.send(WSMsgType.TEXT, msgspec.json.encode({"op": "logon", "key": KEY, "signature": signature}))
            elif told.op == "welcome":
                transport.send(WSMsgType.TEXT, msgspec.json.encode({"op": "subscribe", "channel": "private"}))
                ready.set()
            elif told.op == "answer" and told.status >= 300:
                kept.refused += 1
            elif told.op == "answer":
                i = int(told.id[16:], 16) - 1
                opened[told.body["request"]] = i
                kept.came[i] = early.pop(told.body["request"], 0)
            elif told.op == "event" and told.body["event"] == "quote_shown":
                i = opened.get(told.body["request"], -1)
                if i < 0:
                    early.setdefault(told.body["request"], now)
                elif not kept.came[i]:
                    kept.came[i] = now

    transport, _ = await ws_connect(Listener, f"ws://127.0.0.1:{at.websocket}/v1/ws")
    await asyncio.wait_for(ready.wait(), 10)

    def send(i: int) -> None:
        body = {"instrument": INSTRUMENT, "side": "buy", "quantity": "0.01", "ttl_ms": 1000}
        transport.send(WSMsgType.TEXT, frame("request.new", body, f"{prefix}{i + 1:016x}", time.time_ns() + WINDOW))

    await paced(count, RATE, send, kept)
    transport.disconnect()
    return kept.told()


def _through_gateway(at: House, count: int) -> dict[str, float]:
    dealer = _Dealer(at.desk, at.door)
    dealer.start()
    told = asyncio.run(_over_websocket(at, count))
    dealer.join(60)
    dealer.listen.close()
    dealer.speak.close()
    return told


def bench_rfq(design_file: Path, quick: bool) -> dict[str, Any]:
    """Percentiles, medians over runs, and their ratio to the floor."""
    runs, count, ours, floors, outside = 3 if quick else 5, 200 if quick else 1000, [], [], []
    with tempfile.TemporaryDirectory(prefix="cambist-bench-") as folder:
        for run in range(runs):
            with served(design_file) as (desk, path):
                ours.append(_run(desk, path, count))
            floors.append(percentiles(paced_syncs(Path(folder) / f"floor-{run}", bytes(ENTRY_BYTES), RATE, count, together=2)))
    for _ in range(runs):                               # the dealer numbers its quotes from 1, so each run has a house of its own
        with house(design_file) as at:
            outside.append(_through_gateway(at, count))
    mine, floor, through = median_of(ours), median_of(floors), median_of(outside)
    return {"bench": "rfq", "rate_per_s": RATE, "request_to_first_quote": mine, "floor": floor, "floor_is": "two fdatasyncs of the same bytes at the same rate",
            "p50_over_floor": round(mine["p50_us"] / floor["p50_us"], 2), "p99_over_floor": round(mine["p99_us"] / floor["p99_us"], 2),
            "through_gateway": through, "gateway_p99_over_floor": round(through["p99_us"] / floor["p99_us"], 2), "runs": runs}
