"""Which key of a person may send what: the design's roles, read for one command.

Decides who may come into the console, and with which of their keys a person acts. It must not decide whether the act is allowed now: the core checks every
command again. The answer always has words, because a button that cannot be pressed says why.
"""
from typing import NamedTuple

from cambist.design import HOUSE_ACCOUNTS, kinds
from cambist.messages import Kind
from cambist.ops.wording import kind_words
from cambist.sections import Design, Key


class Signer(NamedTuple):
    """A key by name. `key` "": none may, and `why` says so."""
    key: str
    why: str


def staff(design: Design, person: str) -> bool:
    """Whether the console is for this person: someone with an enabled key that is no client's and no outside dealer's."""
    return any(_of_house(design, key) for key in _keys(design, person).values())


def signer(design: Design, person: str, kind: Kind, account: str = "") -> Signer:
    """The key with which a person may send a kind; `account`: the one the command names, if it names one."""
    for name, key in _keys(design, person).items():
        role = design.roles[key.role]
        if kind in kinds(role.all) or (account and kind in kinds(role.own) and key.account == account):
            return Signer(name, "")
    able = sorted(name for name, role in design.roles.items() if kind in kinds(role.all) or kind in kinds(role.own))
    asked = f"{kind_words(kind)} for {account}" if account else kind_words(kind)
    return Signer("", f"{person} has no key that may {asked}: the design gives it to {', '.join(able) or 'nobody'}")


def waits_for_second(design: Design, key: str, kind: Kind) -> bool:
    """Whether what this key sends of this kind is held for a second person, whatever its size."""
    role = design.roles[design.keys[key].role] if key in design.keys else None
    return kind in kinds(design.oversight.second_person) or bool(role and kind in kinds(role.second_person))


def _keys(design: Design, person: str) -> dict[str, Key]:
    return {name: key for name, key in design.keys.items() if key.person == person and key.enabled}


def _of_house(design: Design, key: Key) -> bool:
    return not key.account or key.account in HOUSE_ACCOUNTS or key.account in design.house.desks
