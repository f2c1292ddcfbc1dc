"""Passwords, keys, and the secrets of a new house."""
import stat
from pathlib import Path

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature

from cambist.credentials import NOBODY, CredentialError, check_password, hash_password, public_key, public_text, read_private_key
from cambist.credentials_shell import FIRST_LOGINS, PASSWORDS, PUBLIC_KEYS, Secrets
from cambist.design import read_design

DESIGN = read_design((Path(__file__).parents[1] / "desks" / "demo.toml").read_text())


def password_of(house, person):
    return next(line.split()[2] for line in house.first_logins().splitlines() if line.split()[:2] == ["password", person])


def test_a_password_is_kept_as_scrypt_of_it_with_its_own_salt():
    one, two = hash_password("correct horse battery", bytes(16)), hash_password("correct horse battery", bytes(range(16)))
    assert one.hash != two.hash and "horse" not in str(msgspec.to_builtins(one))
    assert check_password("correct horse battery", two) and not check_password("correct horse batterx", two)
    assert not check_password("anything at all", NOBODY) and not check_password("x" * 10_000, one)
    for bad in ("short", "x" * 257):
        with pytest.raises(CredentialError, match="12 to 256"):
            hash_password(bad, bytes(16))


def test_scrypt_is_that_of_rfc_7914():
    kept = msgspec.structs.replace(hash_password("please let me in", bytes(16)), salt=b"SodiumChloride".hex(), n=16384, r=8, p=1,
                                   hash="7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")     # section 12, first 32 of 64 bytes
    assert check_password("pleaseletmein", kept)


def test_a_new_house_gets_its_secrets_once_and_alone(tmp_path):
    house = Secrets.create(tmp_path, DESIGN)
    told = house.first_logins()
    assert house.check_password("ada", password_of(house, "ada")) and not house.check_password("ada", password_of(house, "bo"))
    assert not house.check_password("nobody", password_of(house, "ada"))
    kept = {path: path.read_bytes() for path in house.folder.rglob("*") if path.is_file()}
    assert all(stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600) for path in [house.folder, *house.folder.rglob("*")])
    again = Secrets.create(tmp_path, DESIGN)
    assert {path: path.read_bytes() for path in house.folder.rglob("*") if path.is_file()} == kept and again.first_logins() == told
    (house.folder / FIRST_LOGINS).unlink()
    assert again.first_logins() == "" and again.ids_key == house.ids_key and len(house.ids_key) == 16


def test_programs_of_clients_and_dealers_get_keys_and_nobody_else(tmp_path):
    house = Secrets.create(tmp_path, DESIGN)
    assert sorted(house.public_keys(DESIGN)) == ["acme-bot", "b2", "borea-bot", "c3"]
    key = house.private_key("acme-bot")
    house.public_keys(DESIGN)["acme-bot"].verify(key.sign(b"text"), b"text")
    with pytest.raises(InvalidSignature):
        house.public_keys(DESIGN)["acme-bot"].verify(key.sign(b"text"), b"other")
    with pytest.raises(CredentialError, match=r"rhea\.pem"):
        house.private_key("rhea")


def test_the_design_s_own_public_key_counts_before_ours(tmp_path):
    house = Secrets.create(tmp_path, DESIGN)
    theirs = public_text(house.private_key("b2"))
    named = msgspec.structs.replace(DESIGN, keys={**DESIGN.keys, "acme-bot": msgspec.structs.replace(DESIGN.keys["acme-bot"], public_key=theirs)})
    house.public_keys(named)["acme-bot"].verify(house.private_key("b2").sign(b"x"), b"x")
    disabled = msgspec.structs.replace(DESIGN, keys={**DESIGN.keys, "b2": msgspec.structs.replace(DESIGN.keys["b2"], enabled=False)})
    assert "b2" not in house.public_keys(disabled)


def test_a_password_can_be_changed_and_a_person_who_is_new_gets_one(tmp_path):
    fewer = msgspec.structs.replace(DESIGN, people={name: row for name, row in DESIGN.people.items() if name != "bo"})
    house = Secrets.create(tmp_path, fewer)
    assert not house.check_password("bo", "anything at all")
    house.set_password("ada", "a much better one")
    Secrets.create(tmp_path, DESIGN)
    assert house.check_password("ada", "a much better one") and house.check_password("bo", password_of(house, "bo"))


@pytest.mark.parametrize("name", [PASSWORDS, PUBLIC_KEYS])
def test_a_damaged_file_says_which(tmp_path, name):
    house = Secrets.create(tmp_path, DESIGN)
    (house.folder / name).write_bytes(b"{")
    with pytest.raises(CredentialError, match=name):
        house.check_password("ada", "x") if name == PASSWORDS else house.public_keys(DESIGN)


def test_what_is_no_key_says_what_would_be():
    for text in ("", "00", "zz" * 32, "00" * 31):
        with pytest.raises(CredentialError, match="64 hex"):
            public_key(text)
    with pytest.raises(CredentialError, match="Ed25519"):
        read_private_key(b"-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")
    with pytest.raises(CredentialError, match="cambist run"):
        _ = Secrets(Path("/nowhere")).ids_key
