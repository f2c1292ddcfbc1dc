"""The account as a client reads it: balances, positions, credit, what is due, fees. Without IO.

Decides what a statement shows of the view `account`, in decimals. It must not know how it was asked.
"""
from collections.abc import Iterable, Mapping
from typing import Any

from cambist.dictionary import Dictionary
from cambist.messages import RequestState, Side
from cambist.units import format_units

Account = Mapping[str, Any]


def balances(account: Account, words: Dictionary) -> list[dict[str, Any]]:
    """Per asset, also those that are nothing: available, held, unsettled, due, and their sum."""
    kept = {row["asset"]: row for row in account["balances"]}
    made = []
    for name in words.design.assets:
        asset = words.names["assets"][name]
        row = kept.get(asset, {})
        parts = {part: row.get(part, 0) for part in ("available", "held", "unsettled", "due")}
        made.append({"asset": name, "zero": not any(parts.values()), **{part: words.amount_out(value, asset) for part, value in parts.items()},
                     "total": words.amount_out(sum(parts.values()), asset)})
    return made


def positions(account: Account, words: Dictionary, references: Mapping[int, int]) -> list[dict[str, Any]]:
    """Per instrument: net, what open orders could add, and its worth at the reference."""
    made = []
    for row in account["positions"]:
        listed = words.listed_by_number(row["instrument"])
        if listed is None:
            continue
        reference = references.get(listed.number, 0)
        worth = words.amount_of(abs(row["net"]), reference, listed) * (-1 if row["net"] < 0 else 1) if reference else None
        limit = row["limit"]
        made.append({"instrument": listed.name, "net": words.amount_out(row["net"], listed.base), "open_buy": words.quantity_out(row["open_buy"], listed),
                     "open_sell": words.quantity_out(row["open_sell"], listed), "limit": words.quantity_out(limit, listed) if limit else None,
                     "base": words.asset_name(listed.base), "quote": words.asset_name(listed.quote),
                     "worth": words.amount_out(worth, listed.quote) if worth is not None else None})
    return made


def credit(account: Account, words: Dictionary) -> list[dict[str, Any]]:
    """Per asset: the line, what of it is used and why, and the part in thousandths for a bar."""
    made = []
    for row in account["credit"]:
        used = row["reserved"] + row["traded"] + row["netted"]
        limit = row["limit"]
        percent = used * 1000 // limit if limit else 0
        made.append({"asset": words.asset_name(row["asset"]), "limit": words.amount_out(limit, row["asset"]), "used": words.amount_out(used, row["asset"]),
                     "free": words.amount_out(limit - used, row["asset"]), "reserved": words.amount_out(row["reserved"], row["asset"]),
                     "traded": words.amount_out(row["traded"], row["asset"]), "netted": words.amount_out(row["netted"], row["asset"]),
                     "percent": format_units(percent, 1), "permille": max(0, min(1000, percent)),
                     "tone": "bad" if percent >= 900 else "warn" if percent >= 750 else ""})
    return made


def obligations(account: Account, words: Dictionary) -> list[dict[str, Any]]:
    """What is due: the house delivers what is more than 0, you deliver what is less."""
    return [{"id": words.opaque.text("obligation", row["id"]), "asset": words.asset_name(row["asset"]), "amount": words.amount_out(row["amount"], row["asset"]),
             "who": "the house delivers" if row["amount"] > 0 else "you deliver", "cycle": row["cycle"]} for row in account["obligations"]]


def fees(rows: Iterable[Mapping[str, int]], words: Dictionary) -> list[dict[str, Any]]:
    """Fees paid by instrument, as History.fees tells them."""
    made = []
    for row in rows:
        listed = words.listed_by_number(row["instrument"])
        if listed is not None:
            made.append({"instrument": listed.name, "fills": row["count"], "fee": words.amount_out(row["fee"], listed.quote),
                         "asset": words.asset_name(listed.quote)})
    return made


def live_requests(account: Account, words: Dictionary, now: int) -> list[dict[str, Any]]:
    """Requests that stand."""
    made = []
    for row in sorted(account["requests"], key=lambda each: -each["id"]):
        listed = words.listed_by_number(row["instrument"])
        if listed is not None and row["state"] == RequestState.OPEN and row["expires"] > now:
            made.append({"id": words.opaque.text("request", row["id"]), "instrument": listed.name, "side": Side(row["side"]).name.lower(),
                         "quantity": words.quantity_out(row["quantity"], listed), "base": words.asset_name(listed.base), "until": row["expires"]})
    return made
