"""Sessions, proofs and waiting times, with time handed in."""
import pytest

from cambist.ops.web.sessions import (
    FRESH_NS, IDLE_NS, LIFE_NS, MAX_REMEMBERED, SECOND, Attempts, Session, alive, command_id, digest, ends, form_proof, fresh, proves,
)

BEGAN = 1_000 * SECOND


def session(**changed) -> Session:
    return Session(digest("token"), "ada", BEGAN, BEGAN, BEGAN)._replace(**changed)


@pytest.mark.parametrize("after, holds", [(0, True), (IDLE_NS - 1, True), (IDLE_NS, False), (-SECOND, True)])
def test_a_session_ends_when_idle(after, holds):
    assert alive(session(), BEGAN + after) is holds


def test_use_keeps_it_alive_until_ten_hours_and_no_longer():
    used = session(seen=BEGAN + LIFE_NS - SECOND)
    assert alive(used, BEGAN + LIFE_NS - 1) and not alive(used, BEGAN + LIFE_NS)
    assert ends(used) == BEGAN + LIFE_NS and ends(session()) == BEGAN + IDLE_NS


def test_a_password_counts_for_five_minutes():
    assert fresh(session(), BEGAN + FRESH_NS - 1) and not fresh(session(), BEGAN + FRESH_NS)


def test_a_proof_is_of_one_session_and_one_key():
    proof = form_proof(b"k", "one")
    assert proves(b"k", "one", proof)
    assert not proves(b"k", "two", proof) and not proves(b"other", "one", proof) and not proves(b"k", "one", "")
    assert not proves(b"k", "one", "é\ud800")


def test_a_command_id_is_the_same_for_the_same_form_alone():
    assert command_id(b"k", "accept", 7, 1) == command_id(b"k", "accept", 7, 1)
    assert len({command_id(b"k", "accept", 7, 1), command_id(b"k", "accept", 71), command_id(b"k", "accept", 7, 2), command_id(b"j", "accept", 7, 1)}) == 4
    assert len(command_id(b"k")) == 32


def test_the_first_failures_cost_nothing_then_each_doubles_the_wait():
    attempts, waits = Attempts(), []
    for _ in range(9):
        attempts.failed("ada", "10.0.0.1", BEGAN)
        waits.append(attempts.wait("bo", "10.0.0.1", BEGAN) // SECOND)      # by address: another name does not help
    assert waits == [0, 0, 0, 0, 0, 2, 4, 8, 16]


def test_a_name_waits_a_minute_at_most_so_that_nobody_is_locked_out():
    attempts = Attempts()
    for n in range(100):
        attempts.failed("ada", f"10.0.{n}.1", BEGAN)
    assert attempts.wait("ada", "10.9.9.9", BEGAN) == Attempts.MOST["person"]
    assert attempts.wait("ada", "10.9.9.9", BEGAN + Attempts.MOST["person"]) == 0
    assert attempts.wait("bo", "10.9.9.9", BEGAN) == 0


def test_success_and_time_forget_failures():
    attempts = Attempts()
    for _ in range(7):
        attempts.failed("ada", "a", BEGAN)
    attempts.worked("ada", "a")
    assert attempts.wait("ada", "a", BEGAN) == 0
    for _ in range(7):
        attempts.failed("ada", "a", BEGAN)
    later = BEGAN + 2 * Attempts.MOST["address"]
    attempts.failed("ada", "a", later)
    assert attempts.wait("ada", "a", later) == 0


def test_what_is_remembered_of_failures_is_bounded():
    attempts = Attempts()
    for n in range(MAX_REMEMBERED + 10):
        attempts.failed(f"person {n}", "a", BEGAN)
    assert len(attempts._failed) <= MAX_REMEMBERED
