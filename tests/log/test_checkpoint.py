"""Signed notes and checkpoints against published keys, notes and the formats' own example; and what is no note."""
from base64 import b64decode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.log.checkpoint import Checkpoint, NoteError, check_origin, key_id, note, open_note, read_checkpoint, verifier_key
from cambist.log.transparency_shell import verify_signature

# The example of Go's sumdb/note, and two more published verifier keys.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = b64decode("x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=")
PUBLISHED = [PETER, "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"]

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC, ORIGIN = KEY.public_key().public_bytes_raw(), "exchange.example/log"
HEAD = Checkpoint(ORIGIN, 20852163, bytes(range(100, 132)))
NOTE = note(HEAD, PUBLIC, KEY.sign(HEAD.text.encode()))


def opened(text: str) -> Checkpoint:
    return open_note(text, ORIGIN, PUBLIC, verify_signature)


@pytest.mark.parametrize("published", PUBLISHED)
def test_keys_are_named_as_published(published):
    name, identity, encoded = published.split("+", 2)
    public = b64decode(encoded)[1:]
    assert key_id(name, public).hex() == identity and verifier_key(name, public) == published


def test_a_published_signature_holds_under_our_key_rule():
    public = b64decode(PETER.split("+", 2)[2])[1:]
    assert SIGNATURE[:4] == key_id("PeterNeumann", public) and verify_signature(public, SIGNATURE[4:], TEXT.encode())
    assert not verify_signature(public, SIGNATURE[4:], TEXT.encode() + b"\n") and not verify_signature(public, b"", TEXT.encode())


def test_the_text_is_that_of_the_formats_example():
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    found = read_checkpoint(text, "example.com/behind-the-sofa")
    assert found.size == 20852163 and found.text == text


def test_a_note_opens_to_what_was_signed():
    assert opened(NOTE) == HEAD and NOTE.split("\n")[4].startswith(f"— {ORIGIN} ") and len(NOTE.split("\n")) == 6
    empty = Checkpoint(ORIGIN, 0, bytes(32))
    assert opened(note(empty, PUBLIC, KEY.sign(empty.text.encode()))) == empty


def test_signatures_of_witnesses_are_let_stand():
    more = NOTE + "— witness.example mJirIklj\n" + NOTE.split("\n\n")[1].replace(ORIGIN, "other.example")
    assert opened(more) == HEAD
    text = HEAD.text + "an extension\n"
    assert opened(f"{text}\n{note(HEAD, PUBLIC, KEY.sign(text.encode())).split(chr(10) * 2)[1]}") == HEAD


def test_every_other_byte_of_a_note_is_refused():
    data = NOTE.encode()
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            with pytest.raises((NoteError, UnicodeDecodeError)):
                opened(changed.decode())
    for at in range(len(NOTE)):
        with pytest.raises(NoteError):
            opened(NOTE[:at])


@pytest.mark.parametrize("size", ["", "-1", "+1", "01", "1.0", "0x1", "１", str(1 << 63), "1e3"])
def test_a_size_is_written_in_one_way(size):
    with pytest.raises(NoteError):
        read_checkpoint(f"{ORIGIN}\n{size}\n{HEAD.text.split(chr(10))[2]}\n", ORIGIN)


def test_signed_is_not_enough():
    for text in ("\n".join([ORIGIN, "1"]) + "\n", f"{ORIGIN}\n1\nAAAA\n", f"other.example\n{HEAD.text.partition(chr(10))[2]}", f"\n{HEAD.text}"):
        with pytest.raises(NoteError):
            opened(f"{text}\n{note(HEAD, PUBLIC, KEY.sign(text.encode())).split(chr(10) * 2)[1]}")
    with pytest.raises(NoteError, match="no signature of"):
        opened(note(HEAD, bytes(32), KEY.sign(HEAD.text.encode())))


@pytest.mark.parametrize("origin", ["", "a b", "a+b", "a\nb", "a\u2003b", "x" * 129])
def test_a_name_that_cannot_name_a_key_is_refused(origin):
    with pytest.raises(NoteError, match="right would be"):
        check_origin(origin)
