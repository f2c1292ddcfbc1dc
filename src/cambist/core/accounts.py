"""Who owns what: balances, positions, credit rows, ids, and the sums that profit and loss is made of. Knows no instrument's rules."""
from cambist.core import layout as at
from cambist.core.layout import BALANCE, CAUSES, ORDER, POSITION, STATE, asset_rows
from cambist.core.memory import cold, hot, wrap
from cambist.core.pools import CREDIT_TAG, POSITION_TAG, find, home, remember, room_position, take_position
from cambist.messages import ACCOUNT_BITS, ORDINAL_BITS, AccountKind

ORDINAL_MASK, ACCOUNT_MASK = (1 << ORDINAL_BITS) - 1, (1 << ACCOUNT_BITS) - 1


@hot
def balance(state: STATE, account: int, asset: int) -> BALANCE:
    """The balance row of (account, asset); rows are dense."""
    return at.balance_row(state, account * asset_rows(state) + asset)


@hot
def following_id(state: STATE, account: int):
    """The id that the account's next thing will have: cell | account | ordinal."""
    return wrap(state.cell << (ORDINAL_BITS + ACCOUNT_BITS)) | (account << ORDINAL_BITS) | (at.account(state, account).ordinal + 1)


@hot
def next_id(state: STATE, account: int):
    """A new id."""
    id = following_id(state, account)
    owner = at.account(state, account)
    owner.ordinal = owner.ordinal + 1
    return id


@hot
def position_key(account: int, instrument: int):
    return (account << 32) | instrument


@hot
def position_of(state: STATE, account: int, instrument: int):
    """Row of the position, made when it is first asked for; 0 when the table is full. An empty row is no state."""
    key = position_key(account, instrument)
    s = at.slot(state, home(state, POSITION_TAG, key))
    return s.row + 0 if s.key == key and s.tag == POSITION_TAG and s.row else _position_of(state, account, instrument)


@cold
def _position_of(state: STATE, account: int, instrument: int):
    """The same where it is not the first that is looked at."""
    key = position_key(account, instrument)
    i = find(state, POSITION_TAG, key)
    if i == 0 and room_position(state):
        i = take_position(state)
        p = at.position_row(state, i)
        p.net = 0
        p.open_buy = 0
        p.open_sell = 0
        p.limit = 0
        p.account = account
        p.instrument = instrument
        p.line = 0
        remember(state, POSITION_TAG, key, i)
    return i


@cold
def credit_of(state: STATE, account: int, asset: int):
    """Row of the house's line to an account in an asset; 0 when there is none."""
    return find(state, CREDIT_TAG, (account << 32) | asset)


@hot
def line_of(state: STATE, p: POSITION, asset: int):
    """Row of the line to a position's account in its instrument's quote asset; a line is never taken away, so it is looked up once."""
    if p.line == 0:
        p.line = credit_of(state, p.account, asset)
    return p.line + 0


@hot
def account_of(o: ORDER):
    """Whose order it is: its id says."""
    return (o.id >> ORDINAL_BITS) & ACCOUNT_MASK


@hot
def is_house_owned(kind: int):
    """Accounts whose gain or loss is the house's."""
    return AccountKind.DESK <= kind <= AccountKind.DEFICIT


@hot
def may_trade(kind: int):
    """The kinds of account that may have orders and requests; a trading custody account would break custody = ownership."""
    return AccountKind.CLIENT <= kind <= AccountKind.DESK


@hot
def post_flow(state: STATE, asset: int, cause: int, amount: int):
    """Add to what the house received of an asset for a cause."""
    f = at.flow(state, asset * CAUSES + cause)
    f.amount = f.amount + amount
