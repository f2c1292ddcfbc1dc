"""Verbs of random flows for what the market knows besides plain orders: orders of every kind, lists, quotes in the book, sessions, controls, precision."""
from cambist.messages import GROUP_MORE, MAX_AMOUNT, Kind, OrderType, Session, TimeInForce
from tests.core.world import ALL_ACTORS, ROOT, TOY
from tests.scenarios import ADMIN, BTCUSD, CUSTODIAN, OPERATIONS, RISK_ONE, SECOND, USD, WALLET, XRPUSD

K = Kind
WATCHED = (17, 18, 19)                          # whose exposure is limited before they have made anything


class MarketFlow:
    """A part of `flows.Flow`, whose choices it uses."""

    # ---------------------------------------------------------------------------------------------------------------- orders
    def _fields(self, instrument: int) -> dict[str, int]:
        r = self.random
        f = {"side": r.randint(0, 1), "quantity": self.quantity(instrument), "price": self.price(instrument), "self_trade": r.randint(0, 3)}
        if r.random() < 0.3:
            f["time_in_force"] = r.randint(0, 7)
            f["good_till"] = self.now + r.choice((1, 5, 60)) * SECOND if f["time_in_force"] == TimeInForce.GTD else 0
        if r.random() < 0.12:
            f["post_only"] = r.randint(1, 2)
        if r.random() < 0.12:
            f["display"] = max(1, f["quantity"] // r.choice((2, 5)) // self.lot(instrument)) * self.lot(instrument)
        if r.random() < 0.05:
            f["minimum"] = self.lot(instrument)
        if r.random() < 0.1:
            f["options"] = r.choice((1, 1, 2, 3))
        return f | self._kind_of_order(instrument, f)

    def _kind_of_order(self, instrument: int, f: dict[str, int]) -> dict[str, int]:
        r, choice, more = self.random, self.random.random(), {}
        if choice < 0.12:
            more = {"order_type": OrderType.MARKET, "price": 0}
        elif choice < 0.25:
            more = {"order_type": r.randint(2, 4), "offset": r.choice((0, self.tick_of(instrument) * 2))}
        elif choice < 0.55:
            trigger = r.randint(1, 3)
            more = {"trigger": trigger, "trigger_on": r.randint(0, 2),
                    "trigger_price": self.tick_of(instrument) * r.randint(1, 8) if trigger == 3 else self.price(instrument, 30)}
            more |= {"order_type": OrderType.MARKET, "price": 0} if r.random() < 0.5 or trigger == 3 else {}
        if f.get("options", 0) & 2 and r.random() < 0.8:
            more |= {"order_type": OrderType.MARKET, "price": 0, "time_in_force": r.randint(0, 1), "self_trade": r.randint(0, 2), "display": 0, "minimum": 0,
                     "post_only": 0, "good_till": 0, "quantity": r.randint(1, 10**11)}
        return more

    def special(self):
        account, instrument = self.trader(), self.instrument()
        return self.build(K.NEW_ORDER, self.key(account), account=account, instrument=instrument, **self._fields(instrument))

    def order_list(self):
        r, account, instrument = self.random, self.trader(), self.instrument()
        side, quantity, far = r.randint(0, 1), self.quantity(instrument), self.tick_of(instrument) * r.randint(1, 20)
        middle = self.price(instrument, 2)
        up, down = middle + far, max(1, middle - far)
        stop = {"side": side, "order_type": 1, "trigger": r.choice((1, 1, 3)), "trigger_on": r.randint(0, 2), "trigger_price": down if side else up}
        stop |= {"trigger_price": far} if stop["trigger"] == 3 else {}
        target, entry = {"side": side, "price": up if side else down}, {"side": 1 - side, "price": self.price(instrument)}
        orders = r.choice(([(target, 1), (stop, 1)], [(stop, 1), (target, 1)], [(entry, 2), (stop, 3)], [(entry, 2), (target, 3)],
                           [(entry, 2), (target, 3), (stop, 3)], [(entry, 2), (entry, 3)]))
        key = self.key(account)
        return [self.build(K.NEW_ORDER, key, account=account, instrument=instrument, quantity=quantity, link=link, expires=self.now + SECOND,
                           flags=GROUP_MORE if i + 1 < len(orders) else 0, **fields) for i, (fields, link) in enumerate(orders)]

    def _quote_fields(self, instrument: int) -> dict[str, int]:
        r, bid = self.random, self.price(instrument)
        ask = bid + self.tick_of(instrument) * r.randint(0 if r.random() < 0.1 else 1, 6)
        f = {"bid": bid, "bid_quantity": self.quantity(instrument), "ask": ask, "ask_quantity": self.quantity(instrument), "self_trade": r.randint(0, 3)}
        for side in ("bid", "ask"):
            if r.random() < 0.12:
                f |= {side: 0, f"{side}_quantity": 0}
        return f

    def book_quote(self):
        r, account, instrument = self.random, self.trader(), self.instrument()
        if (row := self.pick("protections")) and r.random() < 0.6:
            account, instrument = row["account"], row["instrument"]
        if r.random() < 0.75:
            return self.build(K.MASS_QUOTE, r.choice((ROOT, ROOT, self.key(account))), account=account, instrument=instrument, **self._quote_fields(instrument))
        instruments = [BTCUSD, XRPUSD] if r.random() < 0.9 else [XRPUSD, BTCUSD]
        return [self.build(K.MASS_QUOTE, ROOT, account=account, instrument=i, flags=GROUP_MORE if i == instruments[0] else 0, **self._quote_fields(i))
                for i in instruments]

    def watched(self):
        """Orders of accounts that somebody watches, with money for them."""
        r, row = self.random, self.pick("exposures")
        account = row["account"] if row else r.choice(WATCHED)
        out = [] if row else [self.build(K.CONFIGURE_EXPOSURE, ADMIN, **{**self._configure_exposure(), "account": account})]
        instrument = self.instrument()
        asset = r.choice((1, USD))
        out.append(self.build(K.DEPOSIT, CUSTODIAN, account=account, custody=WALLET, asset=asset, amount=10**12))
        return [*out, *[self.build(K.NEW_ORDER, ROOT, account=account, instrument=instrument, side=int(asset != USD), price=self.price(instrument),
                                   quantity=self.quantity(instrument), time_in_force=r.randint(0, 1)) for _ in range(3)]]

    def floating_crowd(self):
        """More pegs than an instrument takes."""
        instrument, side = self.instrument(), self.random.randint(0, 1)
        accounts = [self.trader() for _ in range(4)]
        return [self.build(K.NEW_ORDER, ROOT, account=account, instrument=instrument, side=side, order_type=2, price=self.price(instrument),
                           offset=self.tick_of(instrument), quantity=self.lot(instrument)) for account in accounts for _ in range(20)]

    def some(self):
        r, account = self.random, self.trader()
        kind = r.choice((K.CANCEL_SOME, K.CANCEL_SOME, K.DEAD_MAN, K.RESET_PROTECTION))
        fields = {K.CANCEL_SOME: {"instrument": r.choice((0, self.instrument())), "side": r.randint(0, 2)},
                  K.DEAD_MAN: {"ttl": r.choice((0, SECOND, 8 * SECOND, -1))}, K.RESET_PROTECTION: {"instrument": self.instrument()}}[kind]
        if kind is K.RESET_PROTECTION and (row := self.pick("protections")):
            account, fields = row["account"], {"instrument": row["instrument"]}
        return self.build(kind, r.choice((ROOT, ROOT, self.key(account))), account=account, **fields)

    # -------------------------------------------------------------------------------------------------------------- sessions
    def session_move(self):
        r, session = self.random, self.random.choice(list(Session))
        row = self.pick("instruments")
        target = row["next_session"] if row["session"] in (Session.AUCTION, Session.VOLATILITY) and r.random() < 0.6 else session
        called = target == Session.AUCTION
        return self.build(K.SESSION, r.choice((RISK_ONE, ROOT, ROOT, ROOT)), instrument=row["instrument"], session=target,
                          next=r.choice((0, 0, 5)) if called else 0, duration=r.choice((0, SECOND, 8 * SECOND)) if called else 0)

    def open_market(self):
        """Some step towards continuous trading, wherever an instrument is."""
        rows = [dict(zip(self.columns["instruments"], map(int, row), strict=True)) for row in self.rows["instruments"]]
        rows = [row for row in rows if row["session"] != Session.CONTINUOUS]
        if not rows:
            return None
        row = self.random.choice(rows)
        target = row["next_session"] if row["session"] in (Session.AUCTION, Session.VOLATILITY) else Session.AUCTION
        return self.build(K.SESSION, ROOT, instrument=row["instrument"], session=target)

    def trader_latch(self):
        r = self.random
        killed = [int(a[0]) for a in self.rows["actors"] if a[self.columns["actors"]["killed"]]]
        if killed and r.random() < 0.8:
            return self.build(K.REVIVE_TRADER, ROOT, number=r.choice(killed))
        return self.build(r.choice((K.KILL_TRADER, K.REVIVE_TRADER)), ROOT, number=r.choice((*ALL_ACTORS, 0, 99)))

    # --------------------------------------------------------------------------------------------------------------- precision
    def manual_credit(self):
        r = self.random
        return self.build(K.MANUAL_CREDIT, r.choice((ROOT, OPERATIONS)), account=self.trader(), asset=self.asset(), amount=r.choice((1, 1_000, 10**9)))

    def terms(self):
        """Of an instrument that nobody trades, mostly."""
        r, row = self.random, self.pick("instruments")
        names = ("lot", "book_tick", "quote_tick", "min_price", "max_price")
        factor = r.choice((1, 1, 10)) if row["instrument"] > 3 else 1
        fields = {name: row[name] * (1 if name == "lot" else factor) for name in names}
        change = self.build(K.CHANGE_TERMS, ROOT, instrument=row["instrument"], price_factor=factor, **fields)
        if row["instrument"] <= 3 or r.random() < 0.3:
            return change
        return [self.build(K.HALT, ROOT, instrument=row["instrument"], cancel=1), change]

    def digits(self):
        r, row = self.random, self.pick("assets")
        asset = row["asset"] if row["asset"] > TOY or r.random() < 0.2 else TOY
        change = self.build(K.CHANGE_DIGITS, ROOT, asset=asset, digits=min(19, (row["digits"] if row["asset"] == asset else 0) + r.randint(0, 2)))
        if asset < TOY:
            return change
        known = self.rows["assets"][asset - 1]
        off = self.build(K.CONFIGURE_ASSET, ADMIN, asset=asset, digits=int(known[1]), approval_above=int(known[2]), enabled=0,
                         quote_approval_above=int(known[4]))
        return [off, change]

    # ------------------------------------------------------------------------------------------------------------ configuration
    def _configure_restriction(self):
        r = self.random
        who = {"account": self.trader()} if r.random() < 0.6 else {"number": r.choice(ALL_ACTORS)}
        if r.random() < 0.05:
            who = {"account": self.trader(), "number": 1}
        return {**who, "instrument": self.instrument(), "barred": int(r.random() < 0.15)}

    def _configure_trading(self):
        r = self.random
        return {"account": self.trader(), "trade_group": r.choice((0, 0, 1, 2)), "self_trade_scope": r.choice((0, 0, 1, 2, 3 if r.random() < 0.1 else 0)),
                "max_waiting": r.choice((0, 2, 9)), "cancel_reserve": r.choice((0, 2)), "max_executions": r.choice((0, 0, 1, 4)),
                "execution_window": r.choice((1, 100)) * SECOND,
                "duplicate_window": r.choice((0, 0, SECOND)), "tier": r.randint(0, 2), "fee_instrument": r.choice((0, 0, BTCUSD, XRPUSD))}

    def _configure_tier(self):
        r = self.random
        return {"instrument": self._known("instruments"), "tier": r.choice((1, 2, 0)), "maker_ppm": r.choice((-50, 0, 100)), "taker_ppm": r.choice((400, 900)),
                "rfq_ppm": r.choice((0, 50)), "minimum": r.choice((0, 7, 10**5))}

    def _configure_band(self):
        r = self.random
        return {"instrument": self._known("instruments"), "band_ppm": r.choice((0, 0, 300, 1_000, 20_000)), "window": 8 * SECOND,
                "auction": r.choice((1, 4)) * SECOND, "indicative": r.choice((0, SECOND))}

    def _configure_schedule(self):
        r, session = self.random, self.random.choice((0, 1, 2, 2, 4, 5))
        period = r.choice((7, 61)) * SECOND
        return {"instrument": self._known("instruments"), "slot": r.choice((0, 1, 7, 8)), "offset": r.randint(0, 6) * SECOND,
                "period": period, "session": session, "next": r.choice((0, 5)) if session == 2 else 0, "duration": SECOND if session == 2 else 0,
                "enabled": int(r.random() < 0.3)}

    def _configure_protection(self):
        r, instrument = self.random, self.instrument()
        return {"account": self.trader(), "instrument": instrument, "quantity": r.choice((0, self.lot(instrument))),
                "delta": r.choice((0, self.quantity(instrument))), "window": r.choice((8, 8 * SECOND, 0 if r.random() < 0.1 else 16))}

    def _configure_exposure(self):
        r = self.random
        account = r.choice((self.trader(), *WATCHED))
        return {"account": account, "gross": r.choice((0, 10**10, MAX_AMOUNT)), "net": r.choice((0, 10**10)), "loss": r.choice((0, 10**3, 10**9))}

    def rated(self, asset: int) -> dict[str, int]:
        """What a unit is worth in the numeraire."""
        return {"rate_num": 1, "rate_den": 1} if asset == USD and self.random.random() < 0.9 else {}
