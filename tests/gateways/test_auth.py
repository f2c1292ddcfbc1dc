"""Who is let in by a signature, and which code everyone else is told."""
import statistics
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from cambist.configure import numbered
from cambist.design import read_design
from cambist.dictionary import Dictionary
from cambist.gateways.auth import AuthError, Keys, logon_text, may, request_text, verify, verify_logon
from cambist.gateways.operations import OPERATIONS
from cambist.messages import AccountKind
from cambist.opaque import Opaque

from tests.gateways.house_fixture import design_text

NOW, SECOND = 1_763_712_000_000_000_000, 1_000_000_000
WINDOW = 60 * SECOND
DESIGN = read_design(design_text())
SECRETS = {name: Ed25519PrivateKey.from_private_bytes((name * 32).encode()[:32]) for name in DESIGN.keys if name != "rhea"}
KEYS = Keys(Dictionary(DESIGN, numbered(DESIGN), Opaque(bytes(16))), {name: key.public_key() for name, key in SECRETS.items()})
ID = "0123456789abcdef0123456789abcdef"
BODY = b'{"instrument":"BTC-USD"}'


def signed(key="acme-bot", method="POST", target="/v1/orders?a=b", body=BODY, expires=NOW + SECOND, client_id=ID, by=None):
    signature = SECRETS[by or key].sign(request_text(method, target, body, expires, client_id)).hex()
    return {"cambist-key": key, "cambist-expires": str(expires), "cambist-id": client_id, "cambist-signature": signature}


def proven(headers, method="POST", target="/v1/orders?a=b", body=BODY, now=NOW):
    return verify(method, target, headers, body, now, KEYS, WINDOW)


def refused(headers, **other):
    with pytest.raises(AuthError) as raised:
        proven(headers, **other)
    return raised.value.status, raised.value.code


def test_the_text_that_is_signed():
    assert request_text("GET", "/v1/orders?x=1", b"", 12, "") == (
        b"cambist-request-1\nGET\n/v1/orders?x=1\ne3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n12\n\n")
    assert logon_text("ab", "acme-bot") == b"cambist-logon-1\nab\nacme-bot\n"


def test_a_signature_proves_its_key():
    found = proven(signed())
    assert found.session.key == "acme-bot" and found.session.account_name == "acme" and found.session.account_kind is AccountKind.CLIENT
    assert found.session.scopes == {"read", "trade", "transfer"}
    assert found.client_id == (0x0123456789abcdef, 0x0123456789abcdef) and found.expires == NOW + SECOND


def test_an_id_is_read_as_two_signed_halves():
    assert proven(signed(client_id="f" * 32)).client_id == (-1, -1)
    assert proven(signed(client_id="")).client_id == (0, 0)


@pytest.mark.parametrize("changed, code", [
    ({"cambist-key": ""}, (401, "NO_KEY")),
    ({"cambist-key": "nobody"}, (401, "UNKNOWN_KEY")),
    ({"cambist-key": "n" * 10_000}, (401, "UNKNOWN_KEY")),
    ({"cambist-key": "borea-bot"}, (401, "BAD_SIGNATURE")),
    ({"cambist-key": "rhea"}, (401, "UNKNOWN_KEY")),
    ({"cambist-expires": ""}, (401, "BAD_EXPIRES")),
    ({"cambist-expires": "soon"}, (401, "BAD_EXPIRES")),
    ({"cambist-expires": "-1"}, (401, "BAD_EXPIRES")),
    ({"cambist-expires": "1e18"}, (401, "BAD_EXPIRES")),
    ({"cambist-expires": "٣"}, (401, "BAD_EXPIRES")),
    ({"cambist-expires": "9" * 400}, (401, "BAD_EXPIRES")),
    ({"cambist-expires": str(NOW)}, (401, "EXPIRED")),
    ({"cambist-expires": str(NOW - SECOND)}, (401, "EXPIRED")),
    ({"cambist-expires": str(NOW + WINDOW + 1)}, (401, "EXPIRES_TOO_LATE")),
    ({"cambist-expires": str(NOW + SECOND + 1)}, (401, "BAD_SIGNATURE")),
    ({"cambist-id": "1" * 32}, (401, "BAD_SIGNATURE")),
    ({"cambist-id": ""}, (401, "BAD_SIGNATURE")),
    ({"cambist-id": "0" * 32}, (400, "BAD_ID")),
    ({"cambist-id": "A" * 32}, (400, "BAD_ID")),
    ({"cambist-id": "1" * 31}, (400, "BAD_ID")),
    ({"cambist-signature": ""}, (401, "BAD_SIGNATURE")),
    ({"cambist-signature": "0" * 127}, (401, "BAD_SIGNATURE")),
    ({"cambist-signature": "0" * 128}, (401, "BAD_SIGNATURE")),
    ({"cambist-signature": "G" * 128}, (401, "BAD_SIGNATURE")),
    ({"cambist-signature": "\uff11" * 128}, (401, "BAD_SIGNATURE")),
])
def test_a_tampered_header_is_refused(changed, code):
    assert refused(signed() | changed) == code


@pytest.mark.parametrize("other", [{"method": "DELETE"}, {"target": "/v1/orders"}, {"target": "/v1/orders?a=c"}, {"body": BODY + b" "}, {"body": b""}])
def test_a_signature_fits_one_request_only(other):
    assert refused(signed(), **other) == (401, "BAD_SIGNATURE")


def test_a_key_that_is_switched_off_is_told_so_only_when_proven():
    assert refused(signed("acme-off")) == (403, "DISABLED_KEY")
    assert refused(signed("acme-off", by="acme-bot")) == (401, "BAD_SIGNATURE")


def test_a_missing_header_is_as_an_empty_one():
    assert refused({}) == (401, "NO_KEY")
    headers = signed()
    del headers["cambist-signature"]
    assert refused(headers) == (401, "BAD_SIGNATURE")


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40), st.text(max_size=140))
def test_whatever_is_sent_gets_a_code(key, expires, client_id, signature):
    code = refused({"cambist-key": key, "cambist-expires": expires, "cambist-id": client_id, "cambist-signature": signature})
    assert code[1] in ("NO_KEY", "UNKNOWN_KEY", "BAD_EXPIRES", "EXPIRED", "EXPIRES_TOO_LATE", "BAD_ID", "BAD_SIGNATURE")


@given(st.binary(min_size=64, max_size=64))
def test_no_other_signature_fits(noise):
    assert refused(signed() | {"cambist-signature": noise.hex()}) == (401, "BAD_SIGNATURE")


def test_a_logon_signs_the_challenge_of_this_connection():
    signature = SECRETS["acme-bot"].sign(logon_text("c0ffee", "acme-bot")).hex()
    assert verify_logon("acme-bot", signature, "c0ffee", KEYS).account_name == "acme"
    for key, said, challenge, code in (("acme-bot", signature, "c0ffef", "BAD_SIGNATURE"), ("borea-bot", signature, "c0ffee", "BAD_SIGNATURE"),
                                       ("nobody", signature, "c0ffee", "UNKNOWN_KEY"), ("", signature, "c0ffee", "NO_KEY"),
                                       ("acme-bot", "zz", "c0ffee", "BAD_SIGNATURE")):
        with pytest.raises(AuthError) as raised:
            verify_logon(key, said, challenge, KEYS)
        assert raised.value.code == code


@pytest.mark.parametrize("key, name, code", [
    ("acme-reader", "account.get", None), ("acme-reader", "order.new", "SCOPE"), ("acme-reader", "order.cancel", "SCOPE"), ("acme-trader", "order.new", None),
    ("acme-trader", "order.cancel", None), ("acme-trader", "order.get", "SCOPE"), ("acme-canceller", "order.cancel_all", None),
    ("acme-canceller", "order.amend", "SCOPE"), ("acme-killer", "kill.new", None), ("acme-killer", "order.cancel_all", "SCOPE"),
    ("acme-payer", "transfer.new", None), ("acme-bot", "kill.new", "SCOPE"), ("b2-quoter", "quote.new", None), ("b2-quoter", "quote.withdraw", None),
    ("idle", "order.new", "NO_ACCOUNT"), ("idle", "account.get", "NO_ACCOUNT"), ("idle", "kill.new", "SCOPE"),
])
def test_what_a_key_may(key, name, code):
    session = KEYS.find(key).session
    if code is None:
        may(session, OPERATIONS[name])
        return
    with pytest.raises(AuthError) as raised:
        may(session, OPERATIONS[name])
    assert (raised.value.status, raised.value.code) == (403, code)


def test_an_unknown_key_takes_as_long_as_a_known_one():
    """Medians of many checks, so that a pause of the machine is no finding; the work is the same signature check for both."""
    def median(headers):
        took = []
        for _ in range(60):
            begun = time.perf_counter_ns()
            refused(headers)
            took.append(time.perf_counter_ns() - begun)
        return statistics.median(took)
    wrong = "ab" * 64
    known, unknown = (min(median(signed() | {"cambist-key": key, "cambist-signature": wrong}) for _ in range(5)) for key in ("acme-bot", "nobody"))
    assert 0.5 < known / unknown < 2
