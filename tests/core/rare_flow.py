"""Verbs of random flows for what chance alone hardly ever meets: each builds the few commands that lead to one rare refusal or end."""
from cambist.messages import MAX_AMOUNT, Kind, OrderType, Session, Side, TimeInForce, Trigger
from tests.core.world import IDLE, ROOT, SECOND_DESK
from tests.scenarios import ADMIN, BTC, BTCUSD, CUSTODIAN, DESK, HOUSE, OPERATIONS, RISK_ONE, SUSPENSE, USD, WALLET, XRPUSD

K = Kind
PERSON = {100: ADMIN, 101: RISK_ONE, 103: OPERATIONS, 201: ROOT}            # whose key it is, of those who may approve or configure


class RareFlow:
    """A part of `flows.Flow`, whose choices it uses."""

    def plain_order(self, account: int, instrument: int, **fields: int):
        """By somebody who may, at a price that passes."""
        return self.build(K.NEW_ORDER, ROOT, **{"account": account, "instrument": instrument, "side": self.random.randint(0, 1), "flags": 0,
                                                "price": self.middle(instrument), "quantity": self.lot(instrument), **fields})

    def known_account(self, account: int, **changed: int) -> dict[str, int]:
        row = dict(zip(self.columns["accounts"], map(int, self.rows["accounts"][account - 1]), strict=True))
        names = ("account", "entity", "dealer", "rate_limit", "max_open", "answer_quota", "enabled")
        return {"account_kind": row["kind"], **{name: row[name] for name in names}, **changed}

    def switched_off(self):
        """ACCOUNT_DISABLED: as the one who asks, as the receiver of money, and as the dealer of a quote that is taken."""
        r, q, account = self.random, self.pick("quotes"), self.trader()
        account = q["account"] if q and r.random() < 0.6 else account
        out = [self.build(K.CONFIGURE_ACCOUNT, ADMIN, **self.known_account(account, enabled=0)), self.plain_order(account, self.instrument()),
               self.build(K.CANCEL_ALL, ROOT, account=account),
               self.build(K.TRANSFER, ROOT, account=SUSPENSE if account == HOUSE else HOUSE, to=account, asset=USD, amount=1)]
        if q and q["account"] == account:
            out += self._take(q)
        return [*out, self.build(K.CONFIGURE_ACCOUNT, ADMIN, **self.known_account(account, enabled=int(r.random() < 0.97)))]

    def _take(self, q: dict[str, int]):
        """Of a quote: what accepts it."""
        requests = self.rows["requests"]
        found = requests[requests[:, 0] == q["request"]]
        if not len(found):
            return []
        request = dict(zip(self.columns["requests"], map(int, found[0]), strict=True))
        side = request["side"] if request["side"] < 2 else self.random.randint(0, 1)
        return [self.build(K.ACCEPT_QUOTE, ROOT, account=request["account"], request=request["id"], side=side, quote=q["id"], flags=0,
                           limit_price=MAX_AMOUNT if side == Side.BUY else 1)]

    def emptied_desk(self):
        """INVENTORY: the desk has quoted what it no longer has when its quote is taken."""
        quotes = self.rows["quotes"]
        mine = [row for row in quotes if row[self.columns["quotes"]["account"]] in (DESK, SECOND_DESK)]
        if not mine:
            return None
        q = dict(zip(self.columns["quotes"], map(int, self.random.choice(mine)), strict=True))
        out = []
        for asset in (BTC, USD):
            row = next((b for b in self.rows["balances"] if b[0] == q["account"] and b[1] == asset), None)
            out.append(self.build(K.CONFIGURE_SHORT, ADMIN, account=q["account"], asset=asset, limit=0))
            if row is not None and row[2] > 0:
                out.append(self.build(K.REVERSE_DEPOSIT, CUSTODIAN, account=q["account"], custody=WALLET, asset=asset, amount=int(row[2])))
        return [*out, *self._take(q)]

    def tight_exposure(self):
        """EXPOSURE: no order fits any more; then DAILY_LOSS: a fee alone is too much of one."""
        r, row, instrument = self.random, self.pick("exposures"), self.instrument()
        account = row["account"] if row else r.choice(IDLE)                 # an account that has made something cannot be watched any more
        usd = dict(zip(self.columns["assets"], map(int, self.rows["assets"][USD - 1]), strict=True))
        rated = self.build(K.CONFIGURE_ASSET, ADMIN, **{**usd, "rate_num": 1, "rate_den": 1, "enabled": 1})
        tight = {"gross": 1, "net": 0} if r.random() < 0.5 else {"gross": 0, "net": 1}
        out = [rated, self.build(K.CONFIGURE_EXPOSURE, ADMIN, account=account, loss=0, **tight), self.plain_order(account, instrument)]
        out.append(self.build(K.CONFIGURE_EXPOSURE, ADMIN, account=account, gross=0, net=0, loss=1))
        other, side = self.trader(), r.randint(0, 1)
        out += [self.build(K.DEPOSIT, CUSTODIAN, account=account, custody=WALLET, asset=asset, amount=10**12) for asset in (BTC, USD)]
        out.append(self.plain_order(other, instrument, side=side))
        return [*out, self.plain_order(account, instrument, side=1 - side, time_in_force=TimeInForce.IOC),
                self.build(K.CONFIGURE_EXPOSURE, ADMIN, account=account, gross=0, net=0, loss=0)]

    def many_waiting(self):
        """WAITING_ORDERS: one more stop than the account may have."""
        account, instrument = self.trader(), self.instrument()
        above = self.middle(instrument) + 40 * self.tick_of(instrument)
        stop = {"side": Side.BUY, "trigger": Trigger.STOP, "trigger_on": self.random.randint(0, 2), "trigger_price": above, "price": above}
        names = ("trade_group", "self_trade_scope", "cancel_reserve", "max_executions", "execution_window", "duplicate_window", "tier", "fee_instrument")
        limits = self.build(K.CONFIGURE_TRADING, ADMIN, account=account, max_waiting=1, **{name: 0 for name in names})
        return [limits, *[self.plain_order(account, instrument, **stop) for _ in range(3)]]

    def twice(self):
        """DUPLICATE_ORDER: the same again, too soon."""
        account, instrument = self.trader(), self.instrument()
        names = ("trade_group", "self_trade_scope", "max_waiting", "cancel_reserve", "max_executions", "execution_window", "tier", "fee_instrument")
        first, second = (self.plain_order(account, instrument, side=Side.BUY) for _ in range(2))
        return [self.build(K.CONFIGURE_TRADING, ADMIN, account=account, duplicate_window=1_000, **{name: 0 for name in names}), first, second]

    def own_approval(self):
        """SAME_PERSON: whoever asked approves."""
        h = self.pick("held")
        actor = PERSON.get(h["person"]) if h else None
        return actor and self.build(K.APPROVE, actor, held=h["id"], digest0=1)

    def foreign_child(self):
        """UNKNOWN_CHILD: of somebody else, or of nobody."""
        o = self.pick("children")
        account = DESK if o is None or o["account"] == SECOND_DESK else SECOND_DESK
        return self.build(K.CANCEL_CHILD, ROOT, account=account, child=o["id"] if o else self.guess(DESK))

    def missed_auction(self):
        """AUCTION_OVER: orders of an auction that find nobody in it."""
        r, row = self.random, self.pick("instruments")
        instrument = row["instrument"]
        away = 30 * self.tick_of(instrument)
        out = [self.build(K.SESSION, ROOT, instrument=instrument, session=Session.AUCTION)] if row["session"] != Session.AUCTION else []
        for side in (Side.BUY, Side.SELL):
            for tif in (TimeInForce.AUCTION, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE):
                price = self.middle(instrument) - away if side == Side.BUY else self.middle(instrument) + away
                out.append(self.plain_order(self.trader(), instrument, side=side, price=price, time_in_force=tif))
        out.append(self.plain_order(self.trader(), instrument, order_type=OrderType.MARKET, price=0, time_in_force=TimeInForce.AT_OPEN))
        back = r.choice((Session.CONTINUOUS, Session.CONTINUOUS, Session.CLOSED, Session.CANCEL_ONLY))
        out.append(self.build(K.SESSION, ROOT, instrument=instrument, session=back))
        return [*out, *[self.build(K.TICK, OPERATIONS) for _ in range(3)]]

    def rebate(self):
        """Makers of a tier are paid: a maker's fill with a negative fee, and a fee taken in an asset of choice."""
        r, maker, taker, instrument = self.random, self.trader(), self.trader(), self.random.choice((BTCUSD, BTCUSD, XRPUSD))
        trading = {name: 0 for name in ("trade_group", "self_trade_scope", "max_waiting", "cancel_reserve", "max_executions", "execution_window",
                                        "duplicate_window")}
        side = r.randint(0, 1)
        return [self.build(K.CONFIGURE_TIER, ADMIN, instrument=instrument, tier=1, maker_ppm=-50, taker_ppm=900, rfq_ppm=50, minimum=7),
                self.build(K.CONFIGURE_TRADING, ADMIN, account=maker, tier=1, fee_instrument=0, **trading),
                self.build(K.CONFIGURE_TRADING, ADMIN, account=taker, tier=1, fee_instrument=r.choice((0, BTCUSD)), **trading),
                self.plain_order(maker, instrument, side=side, quantity=20 * self.lot(instrument)),
                self.plain_order(taker, instrument, side=1 - side, quantity=20 * self.lot(instrument), time_in_force=TimeInForce.IOC)]


