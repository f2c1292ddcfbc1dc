"""Signing in: one answer to every wrong attempt, waiting times, and no more than two checks at once."""
import asyncio
import threading

from cambist.ops.web.guards import Fault

from tests.ops.web.little_app import Little, proof_of, sign_in


def run(little: Little, test) -> None:
    async def main():
        async with little.client() as client:
            await test(client)
    try:
        asyncio.run(main())
    finally:
        little.close()


def test_wrong_name_wrong_password_and_the_other_apps_person_are_answered_alike(tmp_path):
    little = Little(tmp_path)

    async def test(client):
        bodies = set()
        for person, password in (("ada", "wrong"), ("nobody", "wrong"), ("ines", "cedar-delta-2"), ("ada", ""), ("ada ", "x" * 300)):
            answer = await sign_in(client, person, password)
            assert answer.status_code == 401 and "cambist_portal" not in client.cookies
            assert "WRONG_LOGIN" in answer.text
            bodies.add(answer.text.split('role="alert">')[1].split("</p>")[0])
            if len(little.checked) == 4:
                little.sign_in._attempts.worked(person, "127.0.0.1")
        assert len(bodies) == 1
        assert len(little.checked) == 5                 # every one of them was looked at, for the same time
    run(little, test)


def test_failures_from_an_address_make_it_wait_and_the_answer_says_how_long(tmp_path):
    little = Little(tmp_path)

    async def test(client):
        codes = []
        for n in range(8):
            answer = await sign_in(client, f"person {n}", "wrong")
            codes.append(answer.status_code)
        assert codes == [401] * 6 + [429] * 2 and int(answer.headers["Retry-After"]) >= 1 and "WAIT" in answer.text
        assert (await sign_in(client)).status_code == 429       # also with the right password: it is not even looked at
        assert ("ada", "amber-basil-1") not in little.checked
    run(little, test)


def test_a_name_that_is_markup_comes_back_as_text(tmp_path):
    async def test(client):
        answer = await sign_in(client, '"><script>alert(1)</script>', "x")
        assert "<script>alert" not in answer.text and "&#34;&gt;&lt;script&gt;" in answer.text
    run(Little(tmp_path), test)


def test_two_checks_at_once_a_few_wait_the_rest_is_refused(tmp_path):
    little = Little(tmp_path)
    gate, running, most = threading.Event(), [0], [0]
    lock = threading.Lock()

    def check(person: str, password: str) -> bool:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        gate.wait(10)
        with lock:
            running[0] -= 1
        return False
    little.sign_in._check = check

    async def test(client):
        page = await client.get("/login")
        tries = [asyncio.create_task(client.post("/login", data={"proof": proof_of(page), "person": f"p{n}", "password": "x", "next": "/"})) for n in range(20)]
        while sum(task.done() for task in tries) < 4:
            await asyncio.sleep(0.01)
        gate.set()
        answers = [await task for task in tries]
        assert sorted({answer.status_code for answer in answers}) == [401, 503] and sum(answer.status_code == 503 for answer in answers) == 4
        assert most[0] == 2
    run(little, test)


def test_a_sign_in_from_another_sites_form_is_refused(tmp_path):
    async def test(client):
        page = await client.get("/login")
        fields = {"proof": proof_of(page), "person": "ada", "password": "amber-basil-1", "next": "/"}
        assert (await client.post("/login", data=fields, headers={"Origin": "http://evil.example"})).status_code == 403
        client.cookies.clear()                          # another browser with our proof
        assert (await client.post("/login", data=fields)).status_code == 403
    run(Little(tmp_path), test)


def test_whether_anyone_may_come_in_can_be_unknown(tmp_path):
    little = Little(tmp_path)

    def admitted(person: str) -> bool:
        raise Fault(503, "HOUSE_UNREACHABLE", "The house is not reachable.")
    little.sign_in._admitted = admitted

    async def test(client):
        answer = await sign_in(client)
        assert answer.status_code == 503 and "HOUSE_UNREACHABLE" in answer.text
    run(little, test)
