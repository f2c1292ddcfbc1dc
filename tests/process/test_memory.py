"""Memory of a whole house under the demo's load and one faster trader: flat for ten minutes, part by part.

What is bounded and empty at the start must fill first: SQLite's page cache (2 MB each in portal and console), the commands that the console keeps as read
(1,024), the stage times of the node (65,536), remembered answers, rings of events. So a house is warmed until no part has grown in three minutes, at most for
WARM_MOST; a leak never gets there. Then come the ten minutes that are judged, all of them: the slope of their least squares stays under MOST_MB_A_MINUTE.
"""
import random
import time

import numpy as np
import psutil
import pytest

from tests.ports import free_ports
from tests.process.house_traders import PATIENCE, Market, SocketTrader
from tests.process.node_process import seed_of_this_run
from tests.process.test_house import PARTS, HouseProcess

pytestmark = [pytest.mark.process, pytest.mark.hunt]
SECONDS, EVERY = 600.0, 5.0
WARM_MOST, WARM_WINDOW, WARM_MB = 1_200.0, 180.0, 1.0   # seconds, seconds, and how much a part may grow in such a window
PER_SECOND = 40.0                                       # asked by the faster trader, at most
MOST_MB_A_MINUTE = 0.5                                  # more than RSS wanders by itself; a leak of 1 KB a command would be 2 MB a minute
MB = 1 << 20


class Measured:
    """Resident sizes of every part, in the order of PARTS, with seconds since the beginning."""
    def __init__(self, house: HouseProcess):
        self._parts = {name: psutil.Process(part["pid"]) for name, part in house.parts().items()}
        self._began, self.times, self.sizes = time.monotonic(), list[float](), list[list[float]]()

    def look(self) -> None:
        """Once, EVERY seconds after the last time."""
        time.sleep(max(self._began + len(self.times) * EVERY - time.monotonic(), 0))
        self.times.append(time.monotonic() - self._began)
        self.sizes.append([self._parts[name].memory_info().rss / MB for name in PARTS])

    @property
    def warm(self) -> bool:
        """No part has grown by WARM_MB in the last WARM_WINDOW seconds; or it takes too long for anything that is bounded."""
        at = len(self.times) - 1 - int(WARM_WINDOW / EVERY)
        return self.times[-1] > WARM_MOST or (at >= 0 and max(now - then for now, then in zip(self.sizes[-1], self.sizes[at], strict=True)) < WARM_MB)


def table(times: np.ndarray, sizes: np.ndarray, warm: int) -> tuple[str, dict[str, float]]:
    """Lines for a person, and the slope of each part (MB a minute) from the look `warm` on."""
    slopes = {name: float(np.polyfit(times[warm:] / 60, sizes[warm:, i], 1)[0]) for i, name in enumerate(PARTS)}
    lines = [f"{'MB':<10}{'start':>10}{'warm':>10}{'end':>10}{'most':>10}{'a minute':>10}"]
    lines += [f"{name:<10}{sizes[0, i]:>10.1f}{sizes[warm, i]:>10.1f}{sizes[-1, i]:>10.1f}{sizes[:, i].max():>10.1f}{slopes[name]:>10.2f}"
              for i, name in enumerate(PARTS)]
    return "\n".join(lines), slopes


def test_memory_stays_flat_for_ten_minutes_at_the_demos_load(tmp_path):
    rng = random.Random(seed_of_this_run())
    house = HouseProcess(tmp_path / "house", free_ports())
    with house:
        house.wait_ready()
        market = Market(f"http://127.0.0.1:{house.base_port}")
        trader = SocketTrader(f"ws://127.0.0.1:{house.base_port + 1}/v1/ws", "acme-bot", "acme", house.directory / "secrets" / "private" / "acme-bot.pem",
                              market, random.Random(rng.getrandbits(48)), PER_SECOND)
        measured, warm, done = Measured(house), 0, 0
        market.start()
        trader.start()
        try:
            while not warm or measured.times[-1] < measured.times[warm] + SECONDS:
                measured.look()
                assert trader.fault is None, trader.fault
                if not warm and measured.warm:
                    warm, done = len(measured.times) - 1, trader.ledger.done
        finally:
            for thread in (market, trader):
                thread.ending.set()
            for thread in (market, trader):
                thread.join(3 * PATIENCE)
        assert all(part["restarts"] == 0 for part in house.parts().values()), house.output()
        assert house.stop() == 0, house.output()
    lines, slopes = table(np.array(measured.times), np.array(measured.sizes), warm)
    print(f"warm after {measured.times[warm]:.0f} s; then {trader.ledger.done - done} commands acknowledged in {SECONDS:g} s\n{lines}")
    assert trader.ledger.done - done > SECONDS, f"the trader was told yes {trader.ledger.done - done} times only"
    assert max(slopes.values()) < MOST_MB_A_MINUTE, lines
