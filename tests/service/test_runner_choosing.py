"""Fair share: laws that hold for any requests of any users."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from delivery.service.runner.choosing import Queue, choose

QUEUE = st.builds(
    Queue,
    request=st.integers(1, 40),
    user=st.one_of(st.none(), st.integers(1, 4)),
    priority=st.integers(-1, 2),
    waiting=st.integers(0, 30),
    running=st.integers(0, 12),
    last=st.integers(0, 100),
)
QUEUES = st.lists(QUEUE, max_size=12, unique_by=lambda queue: queue.request)


@given(QUEUES, st.integers(0, 40))
def test_nothing_idles_while_work_waits_and_no_more_begins_than_there_is(queues, free):
    chosen = Counter(choose(queues, free))
    assert sum(chosen.values()) == min(free, sum(queue.waiting for queue in queues))
    assert all(chosen[queue.request] <= queue.waiting for queue in queues)


@given(QUEUES, st.integers(0, 40))
def test_no_user_gets_a_turn_while_another_with_work_has_fewer_tasks(queues, free):
    chosen = Counter(choose(queues, free))
    running, left = Counter(), Counter()
    for queue in queues:
        running[queue.user] += queue.running + chosen[queue.request]
        left[queue.user] += queue.waiting - chosen[queue.request]
    gainers = {queue.user for queue in queues if chosen[queue.request]}
    for user, waiting in left.items():
        if waiting:
            assert all(running[other] <= running[user] + 1 for other in gainers)


@given(QUEUES, st.integers(0, 40))
def test_a_request_of_lower_priority_waits_for_the_same_users_higher_ones(queues, free):
    chosen = Counter(choose(queues, free))
    for low in queues:
        if chosen[low.request]:
            higher = [one for one in queues if one.user == low.user and one.priority > low.priority]
            assert all(chosen[one.request] == one.waiting for one in higher)


@given(QUEUES, st.dictionaries(st.one_of(st.none(), st.integers(1, 4)), st.integers(0, 20)), st.integers(0, 40))
def test_a_users_bound_holds(queues, most, free):
    chosen = Counter(choose(queues, free, most))
    for user, bound in most.items():
        mine = [queue for queue in queues if queue.user == user]
        begun = sum(chosen[queue.request] for queue in mine)
        assert begun == 0 or begun + sum(queue.running for queue in mine) <= bound


@given(st.lists(QUEUE, min_size=1, max_size=8, unique_by=lambda queue: queue.request), st.integers(1, 3))
def test_nobody_starves(queues, free):
    """While big requests go on for ever, every request whose user has none of higher priority gets a turn soon."""
    state = {queue.request: replace(queue, waiting=queue.waiting + 1, running=0) for queue in queues}
    top = {user: max(q.priority for q in state.values() if q.user == user) for user in {q.user for q in state.values()}}
    wanting = {number for number, queue in state.items() if queue.priority == top[queue.user]}
    turn = 1000
    for _ in range(len(state) ** 2 + len(state)):
        for number in choose(list(state.values()), free):
            turn += 1
            state[number] = replace(state[number], last=turn)  # it ends at once, and more of it comes
            wanting.discard(number)
        if not wanting:
            return
    raise AssertionError(f"{wanting} had no turn")


def test_a_small_request_overtakes_a_big_one_of_the_same_user():
    big = Queue(request=1, user=7, priority=0, waiting=2000, running=4, last=9)
    small = Queue(request=2, user=7, priority=0, waiting=2, running=0, last=0)
    assert choose([big, small], 4) == [2, 2, 1, 1]
