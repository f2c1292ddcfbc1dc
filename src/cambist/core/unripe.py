"""How rows are shown that a change of digits has not reached yet: as they will be. docs/rules.md sections 11 and 15. Reads, and changes nothing."""
from typing import TYPE_CHECKING

import numpy as np

from cambist.core.precision import LOOK_AT_ACCOUNTS

if TYPE_CHECKING:
    from cambist.core.cell import Cell

AS_BASE, AS_QUOTE = ("lot", "max_quantity", "max_position", "amount_den"), ("max_notional", "amount_num")


class Growth:
    """By how much amounts of rows grow that were not multiplied yet; by 1 where no change of digits is at work."""

    def __init__(self, cell: "Cell") -> None:
        self.cell, self.asset = cell, 0
        if int(cell.state["change_stage"][0]) > LOOK_AT_ACCOUNTS:
            self.asset, self.factor, self.unit = (int(cell.state[name][0]) for name in ("change_asset", "change_factor", "change_unit"))

    def of_accounts(self, account: np.ndarray, asset: np.ndarray) -> np.ndarray:
        """Of amounts of an asset."""
        if not self.asset:
            return np.ones(len(account), np.int64)
        units = self.cell.table["balances"]["unit"].reshape(len(self.cell.table["accounts"]), -1)[account, self.asset]
        return np.where((asset == self.asset) & (units != self.unit), self.factor, 1)

    def of_positions(self, account: np.ndarray, instrument: np.ndarray) -> np.ndarray:
        """Of quantities in an instrument."""
        return self.of_accounts(account, self.cell.table["instruments"]["base"][instrument])

    def of_minimums(self, instrument: np.ndarray) -> np.ndarray:
        """Of an instrument's tiers."""
        if not self.asset:
            return np.ones(len(instrument), np.int64)
        b = self.cell.table["instruments"][instrument]
        return np.where((b["quote"] == self.asset) & (b["unit"] != self.unit), self.factor, 1)

    def of_instruments(self, rows: np.ndarray) -> np.ndarray:
        """The rows of instruments as they will be."""
        if not self.asset:
            return rows
        rows = rows.copy()
        for side, names in (("base", AS_BASE), ("quote", AS_QUOTE)):
            unripe = (rows[side] == self.asset) & (rows["unit"] != self.unit)
            for name in names:
                rows[name][unripe] *= self.factor
            common = np.gcd(rows["amount_num"], rows["amount_den"])
            for name in ("amount_num", "amount_den"):
                rows[name][unripe] //= common[unripe]
        return rows
