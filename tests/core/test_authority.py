"""Who may send what for whom: every kind, every scope, every relation of the account named to the actor's own, on both engines."""
import pytest

from cambist.messages import CONFIGURE, COUNTED_ONCE, FACTS, NAMES_ACCOUNT, Event, Kind, Reason, Scope, command
from tests.core.engines import ENGINES
from tests.scenarios import ACME, ACME_TWO, ADMIN, BOLT, SECOND, Scenario, genesis_records

K, R = Kind, Reason
ROLE_OF = {Scope.NONE: 12, Scope.OWN: 13, Scope.ENTITY: 14, Scope.ALL: 15}
FIRST = 13                                      # actors: one for each scope who is ACME's, then one for each who is nobody's
RELATIONS = {"own": ACME, "same entity": ACME_TWO, "foreign": BOLT, "none": 0, "unknown": 99}
KINDS = [k for k in K if k is not K.START]


def world(engine: str) -> Scenario:
    """The scenarios' genesis with one role for each scope that holds for every kind."""
    s = Scenario(ENGINES[engine](), audit=False)
    *records, start = genesis_records()
    more = [command(K.CONFIGURE_AUTHORITY, role=role, command=kind, scope=scope) for scope, role in ROLE_OF.items() for kind in KINDS]
    more += [command(K.CONFIGURE_ACTOR, account=own, number=FIRST + 4 * i + scope, person=0, role=ROLE_OF[scope], enabled=1)
             for i, own in enumerate((ACME, 0)) for scope in Scope]
    for record in more:
        record["actor"] = ADMIN
    s.apply(*records, *more, start)
    assert all(e["kind"] == Event.DONE for e in s.events)
    return s


@pytest.fixture(scope="module", params=sorted(ENGINES))
def s(request) -> Scenario:
    return world(request.param)


def expected(kind: Kind, scope: Scope, relation: str, own: int) -> Reason:
    """NONE: passed."""
    if kind is K.TICK:
        return R.NONE
    if scope is Scope.NONE or (kind in CONFIGURE and scope is not Scope.ALL):
        return R.NOT_ALLOWED
    if kind not in NAMES_ACCOUNT or kind in CONFIGURE:
        return R.NONE
    if relation in ("none", "unknown"):
        return R.UNKNOWN_ACCOUNT
    reach = {Scope.OWN: {"own"}, Scope.ENTITY: {"own", "same entity"}, Scope.ALL: set(RELATIONS)}[scope]
    if own == 0 and scope is not Scope.ALL:
        return R.FOREIGN_ACCOUNT
    return R.NONE if relation in reach else R.FOREIGN_ACCOUNT


def outcome(s: Scenario, kind: Kind, actor: int, account: int) -> Reason:
    """What the preamble said to a record that is empty but for who and whom: a request that passed lines 4 to 8 is told that it has no id."""
    s.apply(command(kind, actor=actor, account=account, id_lo=1 if kind in COUNTED_ONCE else 0))
    if kind is K.TICK and not s.events:
        return R.NONE
    reason = s.refused() if s.find(Event.REFUSED) else R.NONE
    if kind in FACTS:
        return reason if reason in (R.NOT_ALLOWED, R.UNKNOWN_ACCOUNT, R.FOREIGN_ACCOUNT) else R.NONE
    return R.NONE if reason is R.NO_ID else reason


@pytest.mark.parametrize("scope", list(Scope), ids=lambda x: x.name)
@pytest.mark.parametrize("kind", KINDS, ids=lambda x: x.name)
def test_matrix(s, kind, scope):
    relations = RELATIONS if kind in NAMES_ACCOUNT else {"none": 0}
    for i, own in enumerate((ACME, 0)):
        actor = FIRST + 4 * i + scope
        found = {name: outcome(s, kind, actor, account).name for name, account in relations.items()}
        assert found == {name: expected(kind, scope, name, own).name for name in relations}, f"own account {own}"


def test_start_is_over_and_an_account_where_none_belongs_is_no_command(s):
    s.apply(command(K.START, actor=ADMIN, id_lo=1, expires=s.now + SECOND))
    assert s.refused() is R.ALREADY_STARTED
    for kind in KINDS:
        if kind not in NAMES_ACCOUNT:
            s.apply(command(kind, actor=ADMIN, account=ACME, id_lo=1, expires=s.now + SECOND))
            assert s.refused() is R.UNDEFINED_BITS


def test_a_refused_stranger_learns_nothing_of_the_account(s):
    """Lines 1 to 7 are told to the actor's own account, whatever account was named."""
    s.apply(command(K.NEW_ORDER, actor=FIRST + Scope.OWN, account=BOLT, id_lo=1))
    assert s.one(Event.REFUSED)["account"] == ACME
    s.apply(command(K.NEW_ORDER, actor=999, account=BOLT, id_lo=1))
    assert (s.refused(), s.one(Event.REFUSED)["account"]) == (R.UNKNOWN_ACTOR, 0)
