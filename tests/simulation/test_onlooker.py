"""What the onlooker notes of what it sees: the answer that counts for a request sent more than once."""
import numpy as np
import pytest

from cambist.messages import Event as E, Kind as K, Reason as R
from cambist.simulation.onlooker import note_answers
from cambist.simulation.twin import Twin
from tests.core.market import at, market
from tests.scenarios import ACME, BTCUSD, BUY, KEY_OF, ONE_BTC, SECOND


class Noted(Twin):
    """The rules, and what is noted of the answers."""
    def __init__(self) -> None:
        super().__init__()
        self.noted: dict[tuple[int, int, int], tuple[int, int, int]] = {}

    def apply(self, records: np.ndarray, time: int) -> np.ndarray:
        events = super().apply(records, time)
        note_answers(self.noted, events)
        return events


@pytest.mark.parametrize(("ahead", "price", "answers"), [
    (80 * SECOND, at(60_000), [(E.REFUSED, R.EXPIRY_TOO_FAR), (E.ORDER_ACCEPTED, 0)]),      # forgotten: rules, section 2, line 10 (seed 400482)
    (40 * SECOND, at(60_000.5), [(E.REFUSED, R.OFF_TICK), (E.REFUSED, R.OFF_TICK)]),    # remembered: the second time it is a DUPLICATE
])
def test_a_refusal_that_the_house_forgets_gives_way_to_the_answer_of_the_same_request(ahead, price, answers):
    m = market(Noted)
    request = m.build(K.NEW_ORDER, KEY_OF[ACME], account=ACME, instrument=BTCUSD, side=BUY, quantity=ONE_BTC // 10, price=price, id_hi=7, id_lo=9,
                      expires=m.now + ahead)
    for answer in answers:
        m.apply(request)
        assert m.engine.noted[ACME, 7, 9][:2] == answer
        m.advance(30)
