"""The published wire as a page: docs/wire.md is what this file prints from `messages.py`.

Decides how layouts, numbers and meanings are laid out for a reader. It must not know what a command does (docs/rules.md), a file or a socket. What stands
below the records, the entry and the door's frames, is written here by hand, for this file may see `messages` only; tests/test_docs.py holds it to the code.

    python -m cambist.wire_text > docs/wire.md
"""
import inspect
import re
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import numpy as np

from cambist import messages
from cambist.event_fields import EVENT_FIELDS
from cambist.messages import (
    ACCOUNT_BITS, ARGUMENTS, COUNTED_ONCE, EVENT, EVENT_BYTES, FACTS, GROUP_MORE, GROUPED, HEAD, HEAD_BYTES, LAYOUT, MAX_AMOUNT, MAX_GROUP,
    NAMES_ACCOUNT, NAMES_INSTRUMENT, NUMBER_WINDOW, NUMBERED, ORDINAL_BITS, RATED, RECORD_BYTES, RISKY, Event, Kind, Reason,
)

VALUES = (messages.Side, messages.OrderType, messages.TimeInForce, messages.SelfTrade, messages.SelfTradeScope, messages.PostOnly, messages.Trigger,
          messages.TriggerOn, messages.Link, messages.OrderState, messages.Session, messages.Scope, messages.AccountKind, messages.Settlement,
          messages.Cause, messages.RequestState, messages.ChildState, messages.ObligationState, messages.Liquidity)

HEAD_MEANS = {
    "kind": "what is asked or reported: one of the kinds below", "flags": "bit 0 NUMBERED, bit 1 GROUP_MORE; every other bit is zero",
    "instrument": "its number; zero where the kind names none", "account": "its number; zero where the kind names none",
    "actor": "the key that sends it", "decider": "the person or algorithm that decided; recorded, decides nothing",
    "attachment": "0, or the number of an item in the side section", "id_hi": "upper half of the id; 0 when NUMBERED",
    "id_lo": "lower half of the id; the request's number when NUMBERED", "received": "when a gateway received it, ns; reported, never decides",
    "expires": "the request is refused from this time on, ns; facts and TICK leave it 0"}

EVENT_MEANS = {
    "kind": "what happened: one of the events below", "reason": "a reason, or 0", "side": "0 buy, 1 sell, 2 two-way",
    "liquidity": "of a trade; TAKER_BY_QUOTE in every event of such an order", "command": "the kind that is answered, where the event echoes one",
    "account": "who is told; 0 is the house", "instrument": "its number, or 0",
    "sequence": "of the command at work; 0 in the stream of an account and in the public one", "id": "by event",
    "other": "by event", "price": "by event", "quantity": "by event", "leaves": "by event", "amount": "by event", "fee": "by event",
    "id_hi": "of the command that is answered", "id_lo": "of the command that is answered"}

OPENING = f"""# The wire

Printed from `src/cambist/messages.py`; renew it with `.venv/bin/python -m cambist.wire_text > docs/wire.md`. What a command does is [the rules](rules.md).

- Everything is little-endian. A command is {RECORD_BYTES} bytes, an event {EVENT_BYTES}. Codes below are NumPy's: `<i8` is a signed 64-bit integer.
- Amounts and quantities are whole units of their asset (its `digits` say where the decimal point stands), prices whole price increments of the
  instrument, times nanoseconds since 1970-01-01 UTC, windows and ttls nanoseconds, fees and bands parts per million. The largest amount, quantity or
  price is {MAX_AMOUNT:,}.
- Numbers of kinds, reasons and events are stable: they are added, never reused. An undefined bit that is set refuses the command (UNDEFINED_BITS).
- An id made by the cell is `cell << {ORDINAL_BITS + ACCOUNT_BITS} | account << {ORDINAL_BITS} | ordinal`; the ordinal counts what the account made, from 1.
"""

AGAIN = f"""### Ids and flags
- **Not NUMBERED**: `id_hi`, `id_lo` are a 128-bit id, unique per account, and `expires` is a time inside the answer window. The same id in that window is
  answered DUPLICATE, and nothing is done twice.
- **NUMBERED** (flag {NUMBERED}): `id_lo` is the actor's next number, `id_hi` is 0. The last {NUMBER_WINDOW:,} numbers are remembered
  with the sequence of their answer.
- **GROUP_MORE** (flag {GROUP_MORE}): the next record belongs to the same group. The last of a group has the flag off; at most {MAX_GROUP} records, whole in one
  entry, all or none. Kinds that may stand in a group: {", ".join(k.name for k in sorted(GROUPED))}.
- **Facts** that count once carry the source's own id in `id_hi`, `id_lo`; other facts and TICK leave both 0. No fact is NUMBERED.

### Attachments
Bytes that belong to commands (explanations, memos, a design) travel in a side section beside the records. An item is its length as `<u4` and its bytes,
padded with zeros to a multiple of 8; a record names it by `attachment = 1 + offset / 8`. The kernel never sees them. The node keeps what came with one
SUBMIT whole in one entry and rewrites the numbers when several sections meet in it.
"""

ENTRY = """## The entry
A batch of commands as it is journaled, hashed and read again (`src/cambist/log/entry.py`): header 144, records of 128 bytes each, side section (a multiple
of 8), SHA-256 of everything before. At most 524,288 bytes and 4,094 records; at least one record.

| offset | bytes | code | field | meaning |
|---:|---:|---|---|---|
| 0 | 4 | bytes | magic | `CBE1` |
| 4 | 2 | `<u2` | version | 1 |
| 6 | 2 | `<u2` | cell | |
| 8 | 4 | `<u4` | epoch | |
| 12 | 4 | `<u4` | count | records |
| 16 | 4 | `<u4` | side_length | bytes of the side section |
| 20 | 4 | `<u4` | flags | bit 0: the entry decides something, written in item 1 of its side section (`docs/log.md`); every other bit is zero |
| 24 | 8 | `<i8` | first_sequence | of the first record; the others follow it |
| 32 | 8 | `<i8` | time | of sealing, ns; never before the last entry's |
| 40 | 8 | `<i8` | committed | the last sequence known to be durable when this was sealed |
| 48 | 32 | bytes | previous_hash | own hash of the entry before; zeros in the first |
| 80 | 32 | bytes | fingerprint | of the kernel that runs |
| 112 | 32 | bytes | results_hash | newest own hash of the results journal |

A reader takes an entry only if its own hash, its sequence and its previous hash fit.
"""

FRAMES = """## The door
The native record protocol (`src/cambist/door/protocol.py`), version 2, over the node's Unix socket, and from outside over TCP.
A frame: length `<u4` (all of it, head included),
verb `u1`, flags `u1` (zero), reserved `<u2` (zero), request `<u4`, body; at most 1,048,576 bytes. Answers echo `request`; for a subscription it is its name.

| verb | number | from | body |
|---|---:|---|---|
| HELLO | 1 | client | version `<u2`, role `<u2`, reserved `<u4` |
| WELCOME | 2 | server | version `<u2`, cell `<u2`, reserved `<u4`, epoch `<i8`, sequence `<i8`, fingerprint 32, limits 6 x `<u4` |
| SUBMIT | 3 | client | count `<u4`, records of 128 bytes, attachments |
| RECEIVED | 4 | server | count `<u4`: queued for the log, no word about the outcome |
| REFUSED | 5 | server | code `<u2`, reserved `<u2`, count `<u4`, words |
| SUBSCRIBE | 6 | client | stream `u1`, reserved 3, account `<u4`, cursor `<i8`, credit `<u4`, reserved `<u4` |
| PULL | 7 | client | credit `<u4` |
| UNSUBSCRIBE | 8 | client | none |
| EVENTS | 9 | server | stream `u1`, more `u1`, reserved 2, account `<u4`, first `<i8`, position `<i8`, count `<u4`, events of 96 bytes, times `<i8` |
| READ | 10 | client | at least `<i8`, length of the name `<u2`, reserved `<u2`, name, argument (JSON) |
| VIEW | 11 | server | position `<i8`, JSON |
| PING | 12 | either | token `<i8` |
| PONG | 13 | either | token `<i8` |
| BYE | 14 | either | code `<u2`, reserved `<u2`, words |
| CHALLENGE | 15 | server, outside | 32 bytes |
| LOGON | 16 | client, outside | signature 64, name of the key (at most 64 bytes) |
| ADMITTED | 17 | server, outside | account `<u4`, actor `<u4`, highest `<i8`, events `<i8`, time `<i8`, limits 6 x `<u4` |

The limits of a WELCOME, in order: frame, records of a SUBMIT, attachments, events of an EVENTS, credit, subscriptions. Roles: GATEWAY 1, SERVICE 2,
OPERATOR 3, OBSERVER 4 (may not submit), CLIENT 5 (outside).
Streams: ALL 1 (with log sequences, for the house), ACCOUNT 2, PUBLIC 3; each is numbered from 1. KEPT 4 (for the house) has no
events and no numbers: an EVENTS without any says up to which position the results files can be read. A cursor is the
first number wanted, 0 only what comes from now on. EVENTS never exceed the credit that was given;
after the events stands the log time of each. `more` is 1 where a batch ends within an entry, so that the answer to its last command may go on in the next.

| codes of a refused request | codes that end a connection |
|---|---|
| OVERLOAD 1, DISK_FULL 2, TOO_LARGE 3, MALFORMED 4, CLOSING 5, STOPPED 6, NOT_ALLOWED 7, FOREIGN 8 | BAD_LENGTH 30, UNKNOWN_VERB 31, UNDEFINED_BITS 32 |
| UNKNOWN_VIEW 10, BAD_ARGUMENT 11, NOT_YET 12 | UNEXPECTED 33, BAD_VERSION 34, BAD_ROLE 35, BAD_LOGON 36 |
| UNKNOWN_STREAM 20, BAD_CURSOR 21, TOO_MANY 22, BAD_CREDIT 23, UNKNOWN_SUBSCRIPTION 24, UNREADABLE 25 | SLOW 40, SILENT 41 |

UNREADABLE may also come of a subscription that had begun, and ends it; the events before it were told.

NONE 0 is the code of a BYE without a fault; TOO_LARGE and MALFORMED end a connection too when a frame itself is so.

### From outside, over TCP
The address is `native` under `[listen]`; TLS 1.3 beyond loopback. The client says HELLO with role CLIENT and hears a CHALLENGE of this connection alone. Its
LOGON carries an Ed25519 signature by its key over the text `cambist-native-1`, the challenge in 64 lower hex digits, and the key's name, each followed by a
line feed. ADMITTED names the account and the actor that every record of the session must name; `highest` is the highest number of this key's numbered requests
that was applied, so the next one is one more; `events` the number of the account's newest event. Until then no frame may have more than 1,024 bytes, and five
seconds are given. What follows is as above, but for this: streams are ACCOUNT (account 0 or its own) and PUBLIC, the position in EVENTS and VIEW is 0, there
are no attachments, and views are `account`, `numbers`, `instruments` without an argument, `book` by `instrument`,
`answer` by `number` or by `id_hi` and `id_lo`.
A session whose answers may be lost is ended; it logs on again and goes on behind `highest`. [native.md](native.md) has an example.
"""


def wire_text() -> str:
    """The whole of docs/wire.md."""
    parts = (OPENING, _command_head(), AGAIN, _kinds(), _arguments(), _values(), _event_record(), _events(), _reasons(), ENTRY, FRAMES)
    return "\n".join(parts).rstrip() + "\n"


def _table(heads: str, aligned: str, rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; `aligned` has one letter a column, r or l."""
    lines = [f"| {' | '.join(heads.split(', '))} |", "|" + "|".join("---:" if a == "r" else "---" for a in aligned) + "|"]
    return "\n".join(lines + [f"| {' | '.join(str(cell) for cell in row)} |" for row in rows]) + "\n"


def _fields(layout: np.dtype, means: dict[str, str]) -> str:
    rows = []
    for name in means:
        code, offset = _place(layout, name)
        rows.append((offset, code.itemsize, f"`{_code(code)}`", name, means[name]))
    return _table("offset, bytes, code, field, meaning", "rrlll", rows)


def _place(layout: np.dtype, name: str) -> tuple[np.dtype, int]:
    fields: Any = layout.fields
    return fields[name][:2]


def _code(code: np.dtype) -> str:
    return code.str.replace("|", "")


def _command_head() -> str:
    assert list(HEAD_MEANS) == [name for name, _ in HEAD], "a field of the head has no meaning here"
    return (f"## The command\nA head of {HEAD_BYTES} bytes, then {RECORD_BYTES - HEAD_BYTES} bytes of arguments named by kind.\n\n"
            + _fields(LAYOUT[Kind.TICK], HEAD_MEANS))


def _kinds() -> str:
    rows = []
    for kind in Kind:
        sort = "fact, counts once" if kind in COUNTED_ONCE else "fact" if kind in FACTS else "tick" if kind is Kind.TICK else "request"
        names = " and ".join(word for word, kinds in (("account", NAMES_ACCOUNT), ("instrument", NAMES_INSTRUMENT)) if kind in kinds)
        rows.append((kind.value, kind.name, sort, names, "yes" if kind in RATED else "", "yes" if kind in RISKY else ""))
    return ("### Kinds\nA request may be refused for what it asks, a fact only for its form or its sender. *Rated* kinds count against the account's\n"
            "rate limit, *risky* ones are blocked by a kill switch.\n\n" + _table("number, kind, sort, the head names, rated, risky", "rlllll", rows))


def _arguments() -> str:
    rows = []
    for kind, arguments in ARGUMENTS.items():
        for name, _ in arguments:
            code, offset = _place(LAYOUT[kind], name)
            rows.append((kind.name, name, offset, code.itemsize, f"`{_code(code)}`"))
    bare = ", ".join(kind.name for kind, arguments in ARGUMENTS.items() if not arguments)
    return ("### Arguments\nSmall fields fill the first word in order; every int64 starts a word of its own. Bits that no field covers are zero.\n"
            f"Without arguments: {bare}.\n\n" + _table("kind, argument, offset, bytes, code", "llrrl", rows))


def _values() -> str:
    rows = [(values.__name__, ", ".join(f"{value.name} {value.value}" for value in values)) for values in VALUES]
    return "### Values\n" + _table("field, values", "ll", rows)


def _event_record() -> str:
    assert list(EVENT_MEANS) == list(EVENT.names or ()), "a field of the event has no meaning here"
    return f"## The event\n{EVENT_BYTES} bytes. A field that an event does not use is zero.\n\n" + _fields(EVENT, EVENT_MEANS)


def _events() -> str:
    rows = [(event.value, event.name, "; ".join(f"`{name}` {means}" for name, means in EVENT_FIELDS.get(event, {}).items())) for event in Event]
    return "### Events\n" + _table("number, event, fields", "rll", rows)


def _reasons() -> str:
    rows, notes = [], _notes(Reason)
    for reason in Reason:
        group, note = notes[reason.name]
        rows.append((reason.value, reason.name, group, note))
    return "### Reasons\n" + _table("number, reason, group, note", "rlll", rows)


def _notes(values: type[IntEnum]) -> dict[str, tuple[str, str]]:
    """Name -> the heading it stands under and its remark, from the comments in the source."""
    notes, group = {}, ""
    for line in inspect.getsource(values).splitlines():
        if heading := re.fullmatch(r" +# (.+)", line):
            group = heading[1]
        elif value := re.fullmatch(r" +(\w+) = \d+(?: +# (.+))?", line):
            notes[value[1]] = group, value[2] or ""
    return notes


if __name__ == "__main__":
    print(wire_text(), end="")
