"""What everyone begins with, where the outside is simulated: opening deposits, once per house.

Decides which deposits a simulated chain, bank or venue reports at the beginning. It must not know whether they were heard: the desk's process sends them.

Once: a client or dealer gets an asset only while it has never had any, the desk at a venue only while that venue never held any for it. Besides, the same
deposit always has the same id, which counts once within the design's fact_window; so a house that falls while it is being funded is not funded twice.
"""
from collections.abc import Mapping

import numpy as np

from cambist.design import accounts, units_of
from cambist.messages import Kind, command
from cambist.sections import Custody, Design, Desk
from cambist.simulation.house import FUNDS

OPENING = int.from_bytes(b"opening\0", "big")           # upper half of the id
SIMULATED = "simulated"
Names = Mapping[str, Mapping[str, int]]
Touched = set[tuple[int, int]]                          # (account, asset) that has, or ever had, anything


def simulated_custody(design: Design) -> dict[str, Custody]:
    """Custody accounts at a chain, bank or venue that is simulated, by name. What is real tells its own deposits."""
    places = {"wallet": design.chains, "bank": design.banks, "venue": design.venues}
    return {name: row for name, row in design.house.custody.items() if places[row.kind][row.at].kind == SIMULATED}


def opening_deposits(design: Design, names: Names, actor: int, touched: Touched, funds: Mapping[str, str] = FUNDS) -> list[np.ndarray]:
    """DEPOSIT facts still to be sent, by key number `actor`; none for a house that was funded."""
    custody, records = simulated_custody(design), []
    for name, (_, row) in accounts(design).items():
        if isinstance(row, Custody):
            continue
        account = names["accounts"][name]
        for word, text in funds.items():
            if word not in design.assets:
                continue
            asset = names["assets"][word]
            places = [names["accounts"][at] for at, its in custody.items() if word in its.assets and (its.kind == "venue") == isinstance(row, Desk)]
            wanted = [at for at in places if (at, asset) not in touched] if isinstance(row, Desk) else places[:1] if (account, asset) not in touched else []
            records += [command(Kind.DEPOSIT, actor=actor, account=account, custody=at, asset=asset, amount=units_of(design, word, text), id_hi=OPENING,
                                id_lo=account << 40 | at << 16 | asset) for at in wanted]
    return records
