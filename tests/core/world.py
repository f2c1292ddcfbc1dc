"""The world of the random flows: the scenarios' genesis and what it leaves out, so that every kind, scope, second person and limit is met."""
import numpy as np

from cambist.messages import CONFIGURE, AccountKind, Kind, Scope, command
from tests.scenarios import (
    ACTORS, ADMIN, BTC, BTCUSD_FEES, BTCUSD_LIMITS, BTCUSD_MADE, HOUSE, ONE_BTC, ONE_USD, SECOND, USD, XRP, Settlement,
    genesis_records,
)

K = Kind
# small enough that tables are quick to compare, large enough that no flow fills one: CAPACITY is tested by hand
SIZES = {"assets": 48, "accounts": 96, "actors": 64, "instruments": 24, "venues": 16, "positions": 1 << 12, "credit": 1 << 10, "orders": 1 << 14,
         "pages": 1 << 13, "words": 1 << 22, "requests": 1 << 13, "quotes": 1 << 14, "children": 1 << 13, "obligations": 1 << 13, "held": 1 << 12,
         "answers": 1 << 16, "facts": 1 << 16, "events": 1 << 14}
TOY, BTCXRP = 4, 3                              # an asset only for amounts at the edge; an instrument with coarse lots
QUOTES_ABOVE = {USD: 2_000 * ONE_USD}           # larger quotes of a desk wait for a second person
SECOND_DESK, MINER, BANK, QUIET = 13, 14, 15, 16
IDLE = (17, 18, 19, 20)                         # so many accounts that a cut-off and a kill of all take more than one command
ENTITY_ROLE, ROOT_ROLE, CAREFUL_ROLE, MACHINE_ROLE = 9, 10, 11, 12
MINER_KEY, ACME_GROUP, ROOT, ROOT_TWO, CAREFUL, NOBODY, SWITCHED_OFF, BOLT_BOT, SECOND_DESK_KEY, GROUP_OF_NONE = range(13, 23)
EXTRA_ACTORS = ((MINER_KEY, MINER, 0, 1, 1), (ACME_GROUP, 10, 0, ENTITY_ROLE, 1), (ROOT, 0, 201, ROOT_ROLE, 1), (ROOT_TWO, 0, 202, ROOT_ROLE, 1),
                (CAREFUL, 12, 203, CAREFUL_ROLE, 1), (NOBODY, 12, 0, MACHINE_ROLE, 1), (SWITCHED_OFF, 12, 0, 1, 0), (BOLT_BOT, 12, 204, 1, 1),
                (SECOND_DESK_KEY, SECOND_DESK, 0, 3, 1), (GROUP_OF_NONE, 0, 0, ENTITY_ROLE, 1))
PERSONS = (K.NET, K.SETTLE, K.HALT, K.RESUME, K.KILL, K.REVIVE, K.KILL_ALL, K.REVIVE_ALL)
BTCXRP_MADE = {**BTCUSD_MADE, "base": BTC, "quote": XRP, "lot": ONE_BTC // 100, "book_tick": 50, "quote_tick": 5, "min_price": 100_000,
               "max_price": 200_017, "amount_num": 7, "amount_den": 3, "settlement": Settlement.ON_CREDIT}


def _authority() -> list[np.ndarray]:
    out = [command(K.CONFIGURE_AUTHORITY, role=ROOT_ROLE, command=k, scope=Scope.ALL) for k in K if k not in (K.TICK, K.START)]
    out += [command(K.CONFIGURE_AUTHORITY, role=CAREFUL_ROLE, command=k, scope=Scope.ALL, second_person=1) for k in sorted({*CONFIGURE, *PERSONS})]
    out += [command(K.CONFIGURE_AUTHORITY, role=ENTITY_ROLE, command=k, scope=Scope.ENTITY)
            for k in (K.NEW_ORDER, K.CANCEL_ORDER, K.AMEND_ORDER, K.CANCEL_ALL, K.TRANSFER, K.REQUEST_QUOTE, K.ACCEPT_QUOTE, K.CONFIGURE_FEES)]
    out += [command(K.CONFIGURE_AUTHORITY, role=MACHINE_ROLE, command=k, scope=Scope.ALL) for k in (K.APPROVE, K.DENY)]     # but it is no person
    return out


def early_records() -> list[np.ndarray]:
    """What may not come before START."""
    return [command(k) for k in (K.START, K.HALT, K.TICK, K.NEW_ORDER, K.DEPOSIT)]


def world_records() -> list[np.ndarray]:
    """Everything up to and with START."""
    *out, start = genesis_records()
    more = [command(K.CONFIGURE_ASSET, asset=asset, digits=digits, approval_above=above, quote_approval_above=QUOTES_ABOVE.get(asset, -1), enabled=1)
            for asset, digits, above in ((TOY, 0, 1_000), (USD, 6, 1_000_000 * ONE_USD))]
    for number, kind, entity, dealer, rate, open_, quota in (
            (SECOND_DESK, AccountKind.DESK, 1, 1, 0, 50, 500), (MINER, AccountKind.CLIENT, 14, 0, 6, 4, 500), (BANK, AccountKind.CUSTODY, 0, 0, 0, 0, 500),
            (QUIET, AccountKind.CLIENT, 15, 0, 0, 10, 30), *((n, AccountKind.CLIENT, 16, 0, 0, 10, 50) for n in IDLE)):
        more.append(command(K.CONFIGURE_ACCOUNT, account=number, account_kind=kind, entity=entity, dealer=dealer, rate_limit=rate, max_open=open_,
                            answer_quota=quota, enabled=1))
    more += [command(K.CONFIGURE_ACTOR, account=a, number=n, person=p, role=r, enabled=e) for n, a, p, r, e in EXTRA_ACTORS]
    more += _authority()
    more.append(command(K.CONFIGURE_INSTRUMENT, instrument=BTCXRP, **BTCXRP_MADE))
    more.append(command(K.CONFIGURE_LIMITS, instrument=BTCXRP, **{**BTCUSD_LIMITS, "max_quantity": 10 * ONE_BTC, "collar_ppm": 0, "min_sources": 0,
                                                                  "max_notional": 10**15, "max_age": 30 * SECOND, "max_position": 8 * ONE_BTC}))
    more.append(command(K.CONFIGURE_FEES, instrument=BTCXRP, **BTCUSD_FEES))
    more.append(command(K.CONFIGURE_SOURCE, instrument=BTCXRP, source=2, enabled=1))
    more.append(command(K.CONFIGURE_VENUE, account=BANK, venue=2, enabled=1))
    for account in (7, 8, 9, 10, 12, SECOND_DESK, MINER):
        more.append(command(K.CONFIGURE_CREDIT, account=account, giver=HOUSE, asset=XRP, limit=10**13, quoting_limit=10**13))
    more.append(command(K.CONFIGURE_CREDIT, account=MINER, giver=HOUSE, asset=USD, limit=50_000 * ONE_USD, quoting_limit=0))
    more.append(command(K.CONFIGURE_CREDIT, account=SECOND_DESK, giver=HOUSE, asset=USD, limit=50_000 * ONE_USD, quoting_limit=10**12))
    for record in more:
        record["actor"] = ADMIN
    return [*out, *more, start]


ALL_ACTORS = tuple(a[0] for a in ACTORS) + tuple(a[0] for a in EXTRA_ACTORS)
