"""What the supervisor does when parts start, serve, die and are to end, as tables: no process is started here."""
import importlib.util

import pytest

from cambist.supervisor import (
    DEATHS_MOST, DESIGN_CHANGED_EXIT, END_NS, HEALTHY_NS, MS, PARTS, PAUSE_LEAST_NS, PAUSE_MOST_NS, SECOND, Died, End, Outdated, Over, PartState, Ready, Say,
    Start, Started, StopAsked, Supervisor, Told, ended,
)


class Watched:
    """A supervisor of three parts whose processes start at once, with its time."""

    def __init__(self, *names: str) -> None:
        self.step, self.now, self.pid = Supervisor(names or ("node", "desk", "world")), 10 * SECOND, 100
        self.did: list = []
        self.tell(None)

    def tell(self, event, after: int = 0) -> list:
        self.now += after
        for effect in self.step.step(event, self.now):
            self.did.append(effect)
            if isinstance(effect, Start):
                self.pid += 1
                self.tell(Started(effect.name, self.pid))
        return self.did

    def take(self, *kinds) -> list:
        """What was done since the last look, words left out unless asked for."""
        did, self.did = self.did, []
        return [effect for effect in did if isinstance(effect, kinds or (Start, End, Over))]

    def open(self) -> "Watched":
        for one in self.step.shown():
            self.tell(Ready(one.name, f"at {one.name}"))
        self.take()
        return self

    def states(self) -> dict[str, str]:
        return {one.name: str(one.state) for one in self.step.shown()}


def test_the_node_comes_first_and_the_others_when_it_is_ready():
    house = Watched()
    assert house.take() == [Start("node")]
    house.tell(None, 5 * SECOND)
    assert house.take() == [] and house.states() == {"node": "starting", "desk": "waiting", "world": "waiting"}
    house.tell(Ready("node", "a door"))
    assert house.take() == [Start("desk"), Start("world")]
    assert not house.step.all_ready
    house.open()
    assert house.step.all_ready


def test_a_node_that_dies_before_it_was_ever_ready_keeps_the_others_waiting():
    house = Watched()
    house.tell(Died("node", "exit 1"))
    house.tell(None, PAUSE_LEAST_NS)
    assert house.take() == [Start("node"), Start("node")] and house.states()["desk"] == "waiting"


def test_the_others_live_through_the_death_of_the_node():
    house = Watched().open()
    house.tell(Died("node", "signal 9"), SECOND)
    house.tell(None, PAUSE_LEAST_NS)
    assert house.take() == [Start("node")] and house.states() == {"node": "starting", "desk": "ready", "world": "ready"}


def test_the_pause_doubles_to_its_most_and_begins_anew_after_health():
    house, pauses = Watched().open(), []
    for _ in range(9):
        house.tell(Died("desk", "exit 1"))
        due = house.step.next_due(house.now)
        assert due is not None
        pauses.append(due - house.now)
        house.tell(None, pauses[-1] - 1)
        assert house.take() == []                       # not a moment before
        house.tell(None, 1)
        assert house.take() == [Start("desk")]
    assert pauses == [min(PAUSE_LEAST_NS * 2**i, PAUSE_MOST_NS) for i in range(9)] and pauses[0] == 100 * MS and pauses[-1] == 5 * SECOND
    house.tell(Ready("desk", ""))
    house.tell(Died("desk", "signal 9"), HEALTHY_NS)
    assert house.step.next_due(house.now) == house.now + PAUSE_LEAST_NS


def test_ready_for_less_than_health_does_not_begin_anew():
    house = Watched().open()
    for wanted in (PAUSE_LEAST_NS, 2 * PAUSE_LEAST_NS):
        house.tell(Died("desk", "exit 1"), HEALTHY_NS - 1 if wanted == 2 * PAUSE_LEAST_NS else SECOND)
        assert house.step.next_due(house.now) == house.now + wanted
        house.tell(None, wanted)
        house.tell(Ready("desk", ""))


def test_ten_deaths_in_a_row_are_told_loudly_once_with_the_reason_and_it_is_still_tried():
    house, loud = Watched().open(), []
    for _ in range(DEATHS_MOST + 3):
        house.tell(Told("desk", fault="no such module"))
        house.tell(Died("desk", "exit 1"))
        loud.append([say.text for say in house.take(Say) if say.loud])
        house.tell(None, PAUSE_MOST_NS)
    assert [bool(each) for each in loud] == [False] * (DEATHS_MOST - 1) + [True] + [False] * 3
    assert "desk: died (exit 1; no such module) 10 times in a row" in loud[DEATHS_MOST - 1][0]
    assert house.states()["desk"] == "starting"


def test_a_part_that_ends_for_a_new_design_is_started_at_once_and_did_not_die():
    house = Watched().open()
    for _ in range(DEATHS_MOST + 1):
        house.tell(Outdated("desk"), SECOND)
        assert house.take(Start, Say) == [Say("desk: design changed; started again at once"), Start("desk"), Say(f"desk: started, process {house.pid}")]
        desk = house.step.shown()[1]
        assert (desk.state, desk.line, desk.restarts) == (PartState.STARTING, "design changed", 0)
        house.tell(Ready("desk", ""))
        house.take()
    house.tell(Died("desk", "exit 1"))
    assert house.step.next_due(house.now) == house.now + PAUSE_LEAST_NS         # the first death


def test_a_part_that_never_served_did_not_end_for_a_new_design():
    house = Watched()
    house.tell(Ready("node", ""))
    house.tell(Outdated("desk"))
    assert house.states()["desk"] == "paused" and house.step.next_due(house.now) == house.now + PAUSE_LEAST_NS


def test_a_part_that_ends_for_a_new_design_while_all_end_stays_ended():
    house = Watched().open()
    house.tell(StopAsked("SIGTERM"))
    house.tell(Outdated("desk"))
    house.tell(Died("world", "exit 0"))
    assert house.take() == [End("world", by_force=False), End("node", by_force=False)] and house.states()["desk"] == "ended"


@pytest.mark.parametrize(("code", "means"), [(0, Died("desk", "exit 0")), (1, Died("desk", "exit 1")), (-9, Died("desk", "signal 9")),
                                             (DESIGN_CHANGED_EXIT, Outdated("desk"))])
def test_what_the_end_of_a_process_means(code, means):
    assert ended("desk", code) == means


def test_all_end_one_after_another_the_node_last():
    house = Watched().open()
    house.tell(StopAsked("SIGTERM"))
    order = ["world", "desk", "node"]
    for name in order:
        assert house.take() == [End(name, by_force=False)]
        assert house.states()[name] == PartState.ENDING
        house.tell(Died(name, "exit 0"), 10 * MS)
    assert house.take() == [Over(clean=True)]
    house.tell(None, SECOND)
    assert house.take() == []                           # over once


def test_who_does_not_end_in_time_is_killed_and_the_end_is_not_clean():
    house = Watched().open()
    house.tell(StopAsked("SIGINT"))
    assert house.take() == [End("world", by_force=False)]
    house.tell(None, END_NS - 1)
    assert house.take() == [] and house.step.next_due(house.now) == house.now + 1
    house.tell(None, 1)
    assert house.take() == [End("world", by_force=True)]
    for name in ("world", "desk", "node"):
        house.tell(Died(name, "signal 9"))
    assert house.take()[-1] == Over(clean=False)


def test_asking_twice_kills_all_that_live():
    house = Watched().open()
    house.tell(StopAsked("SIGINT"))
    house.take()
    house.tell(StopAsked("SIGINT"))
    assert house.take() == [End(name, by_force=True) for name in ("node", "desk", "world")]
    for name in ("node", "desk", "world"):
        house.tell(Died(name, "signal 9"))
    assert house.take()[-1] == Over(clean=False)


def test_what_is_not_running_when_all_is_to_end_is_not_started_again():
    house = Watched().open()
    house.tell(Died("desk", "exit 1"))
    house.tell(StopAsked("SIGTERM"))
    house.tell(None, PAUSE_MOST_NS // 5)
    assert house.take() == [End("world", by_force=False)]
    house.tell(Died("world", "exit 0"))
    house.tell(Died("node", "exit 0"))
    assert house.take() == [End("node", by_force=False), Over(clean=True)]


def test_ending_while_the_node_still_opens_ends_it_alone():
    house = Watched()
    house.take()
    house.tell(StopAsked("SIGTERM"))
    house.tell(Ready("node", "too late"))
    house.tell(Died("node", "exit 0"))
    assert house.take() == [End("node", by_force=False), Over(clean=True)] and house.states()["desk"] == "ended"


def test_the_table_tells_what_each_part_said():
    house = Watched().open()
    house.tell(Told("desk", line="3 venues", memory=50 << 20))
    house.tell(Told("desk", memory=51 << 20))
    desk = house.step.shown()[1]
    assert (desk.name, desk.state, desk.address, desk.memory, desk.line, desk.restarts) == ("desk", PartState.READY, "at desk", 51 << 20, "3 venues", 0)
    assert desk.pid and desk.since == house.now
    house.tell(Died("desk", "signal 9"))
    desk = house.step.shown()[1]
    assert (desk.state, desk.pid, desk.since, desk.memory, desk.line) == (PartState.PAUSED, 0, 0, 0, "died: signal 9")
    house.tell(None, PAUSE_LEAST_NS)
    assert house.step.shown()[1].restarts == 1


@pytest.mark.parametrize("row", PARTS, ids=lambda row: row.name)
def test_every_part_is_a_module_that_is_there(row):
    assert importlib.util.find_spec(row.module) is not None
