"""Who is let in from outside, with what, and how fast."""
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.configure import configure
from cambist.door.protocol import Logon, logon_text
from cambist.messages import Kind
from cambist.native.admission import KINDS, SECOND, Bucket, Keys, Rate, Throttle, admitted

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
