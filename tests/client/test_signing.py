"""What is signed, byte for byte: the worked example of docs/api.md, and that the gateway reads the same text."""
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from cambist.client.signing import logon_text, read_private_key, request_headers, request_text, signed
from cambist.gateways import auth

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
BODY = b'{"instrument":"BTC-USD","side":"buy","quantity":"0.5","price":"64250.5"}'
ID, EXPIRES, CHALLENGE = "00112233445566778899aabbccddeeff", 1_763_712_000_000_000_000, "5f" * 32


def pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def test_the_worked_example_of_the_docs_is_right():
    text = request_text("POST", "/v1/orders", BODY, EXPIRES, ID)
    headers = request_headers(KEY, "acme-bot", "POST", "/v1/orders", BODY, EXPIRES, ID)
    docs = DOCS.read_text()
    assert BODY.decode() in docs and text in docs and headers["Cambist-Signature"] in docs
    assert KEY.public_key().public_bytes_raw().hex() in docs
    assert logon_text(CHALLENGE, "acme-bot") in docs and signed(KEY, logon_text(CHALLENGE, "acme-bot")) in docs
    for name, value in headers.items():
        assert f"{name}: {value}" in docs


@given(st.sampled_from(["GET", "POST", "DELETE"]), st.text(max_size=30), st.binary(max_size=50), st.integers(0, 1 << 62), st.sampled_from(["", ID]))
def test_the_gateway_reads_the_same_text(method, target, body, expires, identifier):
    assert request_text(method, target, body, expires, identifier).encode() == auth.request_text(method, target, body, expires, identifier)
    assert logon_text(CHALLENGE, target).encode() == auth.logon_text(CHALLENGE, target)


def test_reads_have_no_id():
    headers = request_headers(KEY, "acme-bot", "GET", "/v1/account", b"", EXPIRES)
    assert set(headers) == {"Cambist-Key", "Cambist-Expires", "Cambist-Signature"} and len(headers["Cambist-Signature"]) == 128


def test_a_key_comes_in_three_ways():
    for given_as in (KEY, bytes(range(32)), pem(KEY)):
        assert read_private_key(given_as).private_bytes_raw() == bytes(range(32))


@pytest.mark.parametrize("wrong", ["text", 5, b"short",
                                   b"-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----\n", pem(generate_private_key(SECP256R1())),
                                   pem(KEY, BestAvailableEncryption(b"x"))])
def test_what_is_no_key_is_refused_without_showing_it(wrong):
    with pytest.raises(ValueError) as fault:
        read_private_key(wrong)
    assert "BEGIN" not in str(fault.value) and "MC4" not in str(fault.value)
