"""The client in plain blocking calls, over signed REST.

Decides that a request which brought no answer is sent again, with the same id, expiry and signature, until its time is up. It must not decide what an
operation means.
"""
import time
from collections.abc import Iterator, Mapping
from os import PathLike
from typing import Any

import httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cambist.client.calls import ApiError, Operations, OutcomeUnknown, Told, fault, http_request, route, settles
from cambist.client.signing import request_headers
from cambist.client.surroundings_shell import expiry, new_client_id, pause_before, private_key_of

TIMEOUT = 15.0
PAGE_WAIT_MS = 10_000                                   # how long the house holds an empty page of events


class Client(Operations[Told]):
    """`private_key`: an Ed25519PrivateKey, PEM bytes, or the path of a PEM file. Without a key only the public side can be asked. Close it, or use `with`.

    Every call raises ApiError for a no, and OutcomeUnknown where something may have been done and no answer came within `timeout` seconds.
    """
    def __init__(self, rest_url: str, key: str = "", private_key: Ed25519PrivateKey | bytes | str | PathLike[str] | None = None, *,
                 timeout: float = TIMEOUT, verify: Any = True):
        self._key, self._private_key, self._timeout = key, private_key_of(private_key) if private_key is not None else None, timeout
        self._base, self._http = rest_url.rstrip("/"), httpx.Client(verify=verify, timeout=httpx.Timeout(timeout, connect=min(timeout, 5.0)))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # ---------------------------------------------------------------------------------------------------------------------------- private
    def call(self, name: str, body: Mapping[str, Any] | None = None, *, client_id: str | None = None, expires: int | None = None,
             again: bool | None = None, timeout: float | None = None) -> Told:
        """Any operation by its name. To ask again about an unknown outcome, give the `client_id` and `expires` it had; whoever chooses an expiry for what was
        never sent yet says so by `again=False`."""
        if self._private_key is None:
            raise ApiError("NO_KEY", f"{name} is private: this client was made without a key")
        method, target, sent = http_request(name, body or {})
        changes, unsure = route(name).changes, expires is not None if again is None else again
        client_id, expires = client_id or new_client_id(), expires or expiry()
        headers = request_headers(self._private_key, self._key, method, target, sent, expires, client_id if changes else "")
        if sent:
            headers["Content-Type"] = "application/json"
        patience = self._timeout if timeout is None else timeout
        try:
            return self._insist(method, target, sent, headers, client_id, patience, changes, unsure)
        except _NoAnswer as silence:
            if changes:
                raise OutcomeUnknown(name, client_id, expires, str(silence)) from silence.__cause__
            raise ApiError("UNAVAILABLE", f"{name}: {silence}") from silence.__cause__

    def events(self, cursor: int = 1, *, limit: int = 100) -> Iterator[dict[str, Any]]:
        """The account's events from number `cursor` on (0: from now), without end; each has its `cursor`. Go on later with that of the last plus one."""
        if not cursor:
            cursor = self.read_events(0)["cursor"]
        while True:
            page = self.call("events.read", {"cursor": cursor, "limit": limit, "wait_ms": PAGE_WAIT_MS}, timeout=self._timeout + PAGE_WAIT_MS / 1000)
            for number, event in enumerate(page["events"], cursor):
                yield {"cursor": number, **event}
            cursor = page["cursor"]

    # ----------------------------------------------------------------------------------------------------------------------------- public
    def status(self) -> Told:
        """Whether the house takes orders, and its clock."""
        return self._public("/v1/status")

    def instruments(self) -> Told:
        return self._public("/v1/instruments")

    def instrument(self, symbol: str) -> Told:
        return self._public(f"/v1/instruments/{symbol}")

    def book(self, symbol: str, depth: int = 50) -> Told:
        return self._public(f"/v1/instruments/{symbol}/book?depth={depth}")

    def trades(self, symbol: str) -> Told:
        """Newest first."""
        return self._public(f"/v1/instruments/{symbol}/trades")

    def _public(self, target: str) -> Told:
        try:
            return self._insist("GET", target, b"", {}, "", self._timeout)
        except _NoAnswer as silence:
            raise ApiError("UNAVAILABLE", str(silence)) from silence.__cause__

    # ----------------------------------------------------------------------------------------------------------------------------- inside
    def _insist(self, method: str, target: str, sent: bytes, headers: dict[str, str], client_id: str, patience: float, changes: bool = False,
                unsure: bool = False) -> Told:
        """The same request until it is answered; the first try is always made. `unsure`: an earlier one may have been done. Raises ApiError, _NoAnswer."""
        deadline, attempt = time.monotonic() + patience, 0
        while True:
            left = max(deadline - time.monotonic(), 0.05)
            try:
                answer = self._http.request(method, self._base + target, content=sent, headers=headers, timeout=httpx.Timeout(left, connect=min(left, 5.0)))
                body, cause = _body(answer), None
                if answer.is_success and isinstance(body, dict):
                    return Told(body, answer.status_code, client_id, _duplicate(answer))
                why = _why_unsure(answer, body, unsure and changes)
            except httpx.TransportError as lost:
                why, cause = f"no answer ({type(lost).__name__})", lost
            wait = pause_before(attempt)
            if time.monotonic() + wait >= deadline:
                raise _NoAnswer(why) from cause
            time.sleep(wait)
            attempt, unsure = attempt + 1, True


def _why_unsure(answer: httpx.Response, body: Any, unsure: bool) -> str:
    """Why an answer says nothing about the outcome; one that says no is raised as ApiError."""
    wait = answer.headers.get("Retry-After", "0")
    said = fault(answer.status_code, body, float(wait) if wait.isdigit() else 0, _duplicate(answer))
    if settles(said, unsure):
        raise said
    return said.message


class _NoAnswer(Exception):
    """Nothing that came says what became of it."""


def _duplicate(answer: httpx.Response) -> bool:
    return answer.headers.get("Cambist-Duplicate") == "true"


def _body(answer: httpx.Response) -> Any:
    try:
        return msgspec.json.decode(answer.content) if answer.content else {}
    except msgspec.DecodeError:
        return None
