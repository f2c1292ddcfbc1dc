"""Who is let in from outside, with what, and how fast."""
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.configure import configure
from cambist.door.protocol import Code, Logon, logon_text
from cambist.gateways.operations import OPERATIONS
from cambist.messages import Kind, command
from cambist.native.admission import KINDS, SECOND, Bucket, Keys, Rate, Throttle, admitted, allowed_by
from cambist.native.relay import Gathering

from tests.process.house_on_disk import DESIGN

MINE, OTHERS = (Ed25519PrivateKey.from_private_bytes(bytes([i] * 32)) for i in (1, 2))
CHALLENGE = bytes(range(32))
NAMES = configure(DESIGN).names
KEY = next(name for name, key in DESIGN.keys.items() if key.account and "trade" in key.scopes)
KEYS = Keys(DESIGN, NAMES, {name: MINE.public_key() for name in DESIGN.keys})


def logon(key=KEY, by=MINE, challenge=CHALLENGE, named=None):
    return Logon(key, by.sign(logon_text(challenge, named or key)))


def test_whoever_signs_the_challenge_speaks_for_the_account_of_the_key():
    found = admitted(logon(), CHALLENGE, KEYS)
    assert found and (found.key, found.actor, found.account) == (KEY, NAMES["actors"][KEY], NAMES["accounts"][DESIGN.keys[KEY].account])


@pytest.mark.parametrize("wrong", [
    logon(by=OTHERS), logon(challenge=bytes(32)), logon(named="another"), logon("nobody"), logon(""), Logon(KEY, bytes(64)),
    logon(next(name for name, key in DESIGN.keys.items() if not key.account)),
], ids=["another key", "another challenge", "another name", "no such key", "no name", "zeros", "a key without an account"])
def test_nobody_else_is_admitted(wrong):
    assert admitted(wrong, CHALLENGE, KEYS) is None


def test_a_signature_of_the_websocket_opens_nothing_here():
    text = f"cambist-logon-1\n{CHALLENGE.hex()}\n{KEY}\n".encode()
    assert admitted(Logon(KEY, MINE.sign(text)), CHALLENGE, KEYS) is None


def test_the_text_that_is_signed_is_golden():
    assert logon_text(bytes(range(32)), "acme") == b"cambist-native-1\n000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\nacme\n"


def test_a_key_without_a_public_one_or_switched_off_is_none():
    assert Keys(DESIGN, NAMES, {}).find(KEY) is None
    one = admitted(logon(), CHALLENGE, KEYS)
    assert one and KEYS.still(one) and not Keys(DESIGN, NAMES, {KEY: OTHERS.public_key()}).still(one)


def test_a_scope_is_the_same_at_both_doors():
    """What a key may do over REST and WebSocket it may do here, and nothing else."""
    at_the_gateway = {}
    for row in OPERATIONS.values():
        for scope in row.scopes if row.changes else ():
            at_the_gateway.setdefault(scope, set()).update(kind for kind in row.kinds if kind is not None)
    assert at_the_gateway == KINDS


# One record of every kind an outside program may send, by the scope that lets it; everything else is the house's own.
OUTSIDE = {Kind.NEW_ORDER: {"trade"}, Kind.AMEND_ORDER: {"trade"}, Kind.CANCEL_ORDER: {"trade", "cancel"}, Kind.CANCEL_ALL: {"trade", "cancel"},
           Kind.CANCEL_SOME: {"trade", "cancel"}, Kind.DEAD_MAN: {"trade", "cancel"}, Kind.REQUEST_QUOTE: {"trade"}, Kind.ACCEPT_QUOTE: {"trade"},
           Kind.CANCEL_REQUEST: {"trade", "cancel"}, Kind.QUOTE: {"quote"}, Kind.WITHDRAW_QUOTE: {"quote", "cancel"}, Kind.MASS_QUOTE: {"quote"},
           Kind.RESET_PROTECTION: {"quote"}, Kind.TRANSFER: {"transfer"}, Kind.KILL: {"kill"}}


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.name)
def test_a_kind_is_let_through_by_its_scopes_alone(kind):
    one = KEYS.find(KEY)
    for scope in ("read", "trade", "cancel", "quote", "transfer", "kill"):
        whose = one._replace(scopes=frozenset({scope}), allowed=allowed_by((scope,)))
        refusal = Gathering().put("me", 1, command(kind, actor=one.actor, account=one.account), whose, 5)
        let = scope in OUTSIDE.get(kind, ())
        assert (refusal is None) == let and (let or refusal.code is Code.NOT_ALLOWED)


def test_scopes_let_through_their_kinds_and_never_the_houses():
    found = KEYS.find(KEY)
    assert found
    let = {Kind(kind) for kind in np.flatnonzero(found.allowed).tolist()}
    assert let == set().union(*(KINDS.get(scope, frozenset()) for scope in found.scopes))
    assert not any(kind in let for kind in Kind if kind <= Kind.START or kind >= Kind.SOURCE_PRICE or kind in (Kind.DEPOSIT, Kind.MOVE_CUSTODY))


def test_a_bucket_lets_a_burst_in_and_then_its_rate():
    bucket = Bucket(Rate(100, 50))
    assert [bucket.spend(25, 0), bucket.spend(25, 0)] == [0, 0]
    assert bucket.spend(10, 0) == SECOND // 10 and bucket.spend(0, SECOND // 20) == SECOND // 20 and bucket.spend(0, SECOND // 10) == 0
    assert bucket.spend(50, 100 * SECOND) == 0 and bucket.spend(1, 100 * SECOND) > 0       # never more than its burst


def test_each_key_has_its_own_bucket_and_all_have_one():
    throttle = Throttle(Rate(10, 10), Rate(15, 15))
    assert throttle.spend("a", 10, 0) == 0 and throttle.spend("b", 5, 0) == 0
    assert throttle.spend("c", 5, 0) == SECOND // 3 + 1                # all together have had enough
    assert throttle.spend("a", 1, 2 * SECOND) == 0
