"""The benchmarks' flows do what they say: nothing of a mixed flow is refused, as many orders rest as before, the five scenarios have the published shares."""
import numpy as np
import pytest

from cambist.measure.bench_house import BenchHouse, Size
from cambist.measure.five_scenarios import SCENARIOS, five_flow
from cambist.measure.mixed_flow import Mix
from cambist.messages import LAYOUT, Event, Kind, TimeInForce

NOW = 1_000_000_000


def applied(house: BenchHouse, flow: np.ndarray) -> np.ndarray:
    house.now += 1_000
    return house.cell.apply(flow, house.now)


@pytest.mark.parametrize("size", [Size(1, 10, 40), Size(3, 30, 60)])
def test_a_mixed_flow_is_never_refused_and_keeps_the_book_as_full(size):
    house = BenchHouse(size, NOW)
    mix = Mix(house, 5)
    for _ in range(2):
        flow = mix.flow(400)
        events = applied(house, flow)
        assert not np.isin(events["kind"], (Event.REFUSED, Event.DUPLICATE)).any()
        assert sorted(house.cell.tables(["orders"])["orders"][2][:, 4].tolist()) == sorted(mix.ids.tolist()) and len(mix.ids) == size.resting
        met = {Kind(int(k)) for k in np.unique(flow["kind"])}
        assert met == {Kind.NEW_ORDER, Kind.CANCEL_ORDER, Kind.AMEND_ORDER, Kind.REQUEST_QUOTE, Kind.QUOTE, Kind.ACCEPT_QUOTE, Kind.TRANSFER}
        takers = flow.view(LAYOUT[Kind.NEW_ORDER])[flow["kind"] == Kind.NEW_ORDER]["time_in_force"] == TimeInForce.IOC
        assert (events["kind"] == Event.FILLED).sum() == 2 * (takers.sum() + (flow["kind"] == Kind.ACCEPT_QUOTE).sum())


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_five_scenarios_have_the_published_shares(scenario):
    count = 1_000
    house = BenchHouse(Size(1, 20, count), NOW)
    flow = five_flow(house, scenario, count, 23)
    kinds = np.bincount(flow["kind"], minlength=128)
    assert kinds[Kind.NEW_ORDER] == count and 0.78 < kinds[Kind.CANCEL_ORDER] / count < 0.86 and 0.13 < kinds[Kind.AMEND_ORDER] / count < 0.22
    events = applied(house, flow)
    assert (events["kind"] == Event.ORDER_ACCEPTED).sum() == count         # what is refused came too late, or twice
    assert set(np.unique(events["command"][events["kind"] == Event.REFUSED]).tolist()) <= {Kind.CANCEL_ORDER, Kind.AMEND_ORDER}
