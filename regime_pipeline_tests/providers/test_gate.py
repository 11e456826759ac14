"""The gate by itself: what is reserved, what is learned, when a breaker opens and closes."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regime_pipeline import windows
from regime_pipeline.providers.errors import (
    AuthError,
    BadRequest,
    Banned,
    BudgetSpent,
    CircuitOpen,
    GeoBlocked,
    ProviderError,
    RateLimited,
    Transient,
)
from regime_pipeline.providers.http import Call
from regime_pipeline.providers.limits.breaker import (
    Breaker,
    Policy,
    State,
    Verdict,
    admit,
    failed,
    judge,
    rebased,
    succeeded,
)
from regime_pipeline.providers.limits.budgets import UNKNOWN, Budget, take
from regime_pipeline.providers.limits.gate import HostGate
from regime_pipeline.providers.limits.store import MemoryStore, PostgresStore, Scope, Store
from regime_pipeline.providers.registry import SOURCES
from regime_pipeline.storage.database import Database

AT = datetime(2024, 8, 6, 0, 0, 0, tzinfo=UTC)
SPOT = Call("binance", "api.example", "/api/v3/klines", 2)


class Hands:
    """A clock that moves when told, or when somebody sleeps."""

    def __init__(self) -> None:
        self.at = AT
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


def done(
    gate: HostGate,
    call: Call = SPOT,
    *,
    headers: dict[str, str] | None = None,
    error: ProviderError | None = None,
    status: int = 200,
) -> None:
    with gate.enter(call):
        gate.observe(call, status=status, headers=headers or {}, error=error)


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return MemoryStore()
    database: Database = request.getfixturevalue("database")
    return PostgresStore(database.connect)


def fresh(store: Store, **more: object) -> HostGate:
    """Another process, as far as the shared state can tell."""
    return HostGate(store, **{"refresh_s": 0.0, **more})  # type: ignore[arg-type]


# --- the clock -----------------------------------------------------------------------------------


def test_fault_35_a_budget_counted_in_the_future_is_counted_anew() -> None:
    budget = Budget("weight", 100, 60.0, weighted=True)
    usage, _ = take(None, AT, budget, 80, 80)
    assert take(usage, AT, budget, 1, 1)[1].units == 0
    _, grant = take(usage, AT - timedelta(hours=1), budget, 1, 10)
    assert grant.units == 10 and grant.left_s <= 60
    _, grant = take(usage, AT - timedelta(seconds=1), budget, 1, 10)
    assert grant.units == 0  # a small step back grants nothing twice


def test_fault_35_no_wait_of_a_breaker_outlasts_what_was_meant_when_the_clock_is_set_back() -> None:
    hands = Hands()
    store = MemoryStore(hands)
    gate = fresh(store, sleep=hands.sleep)
    done(gate, error=Banned("banned", retry_after=300.0))
    place = Scope(SPOT.provider, SPOT.host)
    hands.at -= timedelta(hours=1)
    with pytest.raises(CircuitOpen) as refused:
        done(fresh(store, sleep=hands.sleep))
    assert 290 < refused.value.retry_after <= 300
    hands.at += timedelta(seconds=301)
    done(fresh(store, sleep=hands.sleep))
    done(fresh(store, sleep=hands.sleep))
    assert store.look(place)[0].state is State.CLOSED

    done(gate, error=RateLimited("slow down", retry_after=20.0))
    hands.at -= timedelta(hours=1)
    done(fresh(store, sleep=hands.sleep))  # sits out a minute at most, by its own clock
    assert sum(hands.slept) <= 61


def test_fault_35_a_lost_probe_is_given_up_after_its_lease_when_the_clock_is_set_back() -> None:
    policy = Policy(failures=1, lease_s=40.0)
    b = failed(Breaker(), AT, None, Transient("x"), policy)
    b, verdict = admit(b, AT + timedelta(seconds=31), "lost", policy)
    assert verdict is Verdict.PROBE
    earlier = AT - timedelta(hours=1)
    b = rebased(b, earlier, policy)
    assert judge(b, earlier + timedelta(seconds=39))[0] is not Verdict.PROBE
    assert judge(b, earlier + timedelta(seconds=41))[0] is Verdict.PROBE
    assert rebased(b, earlier, policy) == b


def test_fault_35_what_one_process_counts_by_itself_knows_no_clock_but_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = MemoryStore()
    before = store.look(Scope("binance", "x"))[1]

    class Set(datetime):
        @classmethod
        def now(cls, tz=None):  # type: ignore[no-untyped-def]
            return super().now(tz) - timedelta(hours=1)

    monkeypatch.setattr(windows, "datetime", Set)
    assert windows.SystemClock().now() < before - timedelta(minutes=59)
    assert timedelta(0) <= store.look(Scope("binance", "x"))[1] - before < timedelta(minutes=1)


# --- budgets -------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 30), st.integers(1, 50)), max_size=60))
def test_no_window_ever_grants_more_than_four_fifths(asked: list[tuple[float, int]]) -> None:
    budget = Budget("weight", 100, 10.0, weighted=True)
    usage, now, granted = None, AT, dict[datetime, int]()
    for pause, cost in asked:
        now += timedelta(seconds=pause)
        usage, grant = take(usage, now, budget, cost, max(cost, 8))
        granted[grant.window_start] = granted.get(grant.window_start, 0) + grant.units
        assert grant.units == 0 or grant.units >= cost
        assert usage.used == granted[usage.window_start] <= 80


@given(
    limit=st.sampled_from([5, 10, 20, 40, 600]),
    pauses=st.lists(st.floats(0, 0.4), min_size=5, max_size=80),
)
def test_sliced_windows_hold_wherever_the_provider_begins_to_count(
    limit: int, pauses: list[float]
) -> None:
    budget = Budget("x", limit, 2.0, slices=4)
    usage, now, times = None, AT, list[float]()
    for pause in pauses:
        now += timedelta(seconds=pause)
        usage, grant = take(usage, now, budget, 1, 10**6)
        times += [now.timestamp()] * grant.units
    for begin in times:
        assert sum(begin <= t < begin + 2.0 for t in times) <= limit


def test_a_request_dearer_than_the_window_goes_alone() -> None:
    budget = Budget("weight", 10, 10.0, weighted=True)
    usage, grant = take(None, AT, budget, 50, 50)
    assert grant.units == 50
    assert take(usage, AT, budget, 1, 1)[1].units == 0


def test_paths_with_limits_of_their_own_are_counted_apart() -> None:
    scopes = [
        b.scope for b in SOURCES["binance_futures"].rates.of("/futures/data/openInterestHist")
    ]
    assert scopes == ["futures_data"]
    assert [b.scope for b in SOURCES["binance_futures"].rates.of("/fapi/v1/fundingRate")] == [
        "funding",
        "weight",
    ]
    candles, ratio = "/api/v5/market/candles", "/api/v5/rubik/stat/contracts/long-short-account"
    assert [(b.scope, b.limit) for b in SOURCES["okx"].rates.of(candles)] == [(candles, 40)]
    assert [(b.scope, b.limit) for b in SOURCES["okx"].rates.of(ratio)] == [(ratio, 5)]
    assert [(b.limit, b.window_s) for b in UNKNOWN.of("/x")] == [(60, 60.0)]


def test_every_budget_lets_at_least_one_request_go() -> None:
    for known in (s.rates.budgets for s in SOURCES.values()):
        assert all(b.usable(b.limit) >= 1 and b.usable(b.limit) <= b.limit for b in known)


def test_most_requests_do_not_touch_the_shared_state(store: Store) -> None:
    gate = HostGate(store, refresh_s=60.0)
    for _ in range(200):
        done(gate)
    # one look at the breaker; 400 of 4800 units in batches of 480
    assert gate.store_calls <= 3


def test_processes_together_stay_within_one_budget(store: Store) -> None:
    hands = Hands()
    alone = Call("alternative_me", "api.example", "/fng/", 1)
    gates = [fresh(store, sleep=hands.sleep, policy=Policy(wait_s=0.0)) for _ in range(4)]
    went = 0
    for turn in range(100):
        try:
            done(gates[turn % 4], alone)
            went += 1
        except BudgetSpent as error:
            assert error.retry_after is not None
            assert error.retry_after <= 60
    # 48 of 60 a minute, fewer what others have reserved; twice that if the minute just turned
    assert 40 <= went <= 96


def test_used_weight_of_others_is_taken_over(store: Store) -> None:
    gate = fresh(store, policy=Policy(wait_s=0.0))
    done(gate, headers={"x-mbx-used-weight-1m": "4799"})
    assert dict((s, u) for s, u, *_ in gate.status("binance", "api.example").budgets) == {
        "weight": 4799
    }
    with pytest.raises(BudgetSpent):
        done(fresh(store, policy=Policy(wait_s=0.0)))
    other = Call("okx", "api.example", "/api/v5/market/candles", 1)
    done(fresh(store, policy=Policy(wait_s=0.0)), other)


def test_plan_limit_of_the_key_is_learned(store: Store) -> None:
    gate = fresh(store, keys={"coinglass": "abcd0123"})
    call = Call("coinglass", "api.example", "/api/x", 1)
    done(gate, call, headers={"api-key-max-limit": "300", "api-key-use-limit": "7"})
    assert gate.status("coinglass", "api.example").budgets == (("requests", 7, 300, 60.0),)
    assert store.usages("coinglass", "api.example")[0][0] == "abcd0123"


@pytest.mark.parametrize("text", ["", "-1", "1e3", "999999999999", "٣", "NaN"])
def test_nonsense_in_a_header_is_not_a_count(text: str) -> None:
    gate = HostGate()
    done(gate, headers={"x-mbx-used-weight-1m": text})
    assert gate.status("binance", "api.example").budgets[0][1] <= 480


def test_waiting_for_a_window_is_bounded_and_ends_with_it() -> None:
    hands = Hands()
    gate = HostGate(clock=hands, sleep=hands.sleep)
    call = Call("bybit", "api.example", "/v5/x", 1)
    for _ in range(130):
        done(gate, call)
    assert hands.slept
    assert max(hands.slept) <= 1.26


# --- breakers ------------------------------------------------------------------------------------

QUICK = Policy(failures=3, open_s=10.0, open_max_s=40.0)
DOWN = Transient("HTTP 503")


def opened(policy: Policy = QUICK) -> Breaker:
    b = Breaker()
    for _ in range(policy.failures):
        b = failed(b, AT, None, DOWN, policy)
    return b


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not() -> None:
    b = Breaker()
    for _ in range(10):
        b = failed(b, AT, None, DOWN, QUICK)
        b = failed(b, AT, None, DOWN, QUICK)
        b = succeeded(b, None, QUICK)
    assert b.state is State.CLOSED
    assert opened().state is State.OPEN
    assert judge(opened(), AT) == (Verdict.REFUSE, AT + timedelta(seconds=10))


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Banned("HTTP 418", retry_after=7200), 7200),
        (Banned("HTTP 418"), 600),
        (GeoBlocked("HTTP 451"), 6 * 3600),
        (AuthError("HTTP 401"), 900),
        (RateLimited("HTTP 403: access too frequent", retry_after=600), 600),
        (RateLimited("HTTP 429", retry_after=1_000_000_000), 3 * 86400),
    ],
)
def test_some_refusals_open_it_at_once(error: ProviderError, seconds: float) -> None:
    b = failed(Breaker(), AT, None, error, Policy())
    assert (b.state, b.open_until) == (State.OPEN, AT + timedelta(seconds=seconds))
    assert b.error_class == error.error_class


def test_two_probes_in_a_row_close_it_and_a_failed_one_opens_it_for_longer() -> None:
    later = AT + timedelta(seconds=10)
    b, verdict = admit(opened(), later, "me", QUICK)
    assert verdict is Verdict.PROBE
    assert admit(b, later, "you", QUICK)[1] is Verdict.WAIT
    b = succeeded(b, "me", QUICK)
    assert b.state is State.HALF_OPEN
    b, _ = admit(b, later, "you", QUICK)
    b = failed(b, later, "you", DOWN, QUICK)
    assert (b.state, b.open_until) == (State.OPEN, later + timedelta(seconds=20))
    for token in ("a", "b"):
        b, _ = admit(b, later + timedelta(seconds=20), token, QUICK)
        b = succeeded(b, token, QUICK)
    assert b == Breaker()


def test_lost_probe_is_given_up_after_its_lease() -> None:
    later = AT + timedelta(seconds=10)
    b, _ = admit(opened(), later, "crashed", QUICK)
    much_later = later + timedelta(seconds=QUICK.lease_s)
    b, verdict = admit(b, much_later, "next", QUICK)
    assert (verdict, b.probe_token) == (Verdict.PROBE, "next")
    assert succeeded(b, "crashed", QUICK) == b, "a late answer is nobody's probe"


@given(st.lists(st.sampled_from(["fail", "ok", "ban", "tick", "try"]), max_size=80))
def test_there_is_never_more_than_one_probe(events: list[str]) -> None:
    b, now, out = Breaker(), AT, dict[str, datetime]()
    for number, event in enumerate(events):
        if event == "tick":
            now += timedelta(seconds=7)
        elif event == "try":
            b, verdict = admit(b, now, str(number), QUICK)
            if verdict is Verdict.PROBE:
                assert not any(end > now for end in out.values())
                out = {str(number): now + timedelta(seconds=QUICK.lease_s)}
        else:
            token = next(iter(out), None) if b.probe_token else None
            out = {} if token else out
            error = Banned("x", retry_after=20) if event == "ban" else DOWN
            b = succeeded(b, token, QUICK) if event == "ok" else failed(b, now, token, error, QUICK)
            if event == "ban":
                out = {}
        assert (b.state is State.CLOSED) or b.open_until is not None


def test_errors_of_one_request_are_no_fault_of_the_source(store: Store) -> None:
    gate = fresh(store, policy=QUICK)
    for _ in range(20):
        done(gate, error=BadRequest("HTTP 400"), status=400)
    assert gate.status("binance", "api.example").breaker == Breaker()


def test_open_breaker_refuses_everywhere_with_time_and_reason(store: Store) -> None:
    here, there = fresh(store), fresh(store)
    done(here, error=Banned("HTTP 418: banned", retry_after=3600), status=418)
    with pytest.raises(CircuitOpen, match="banned") as caught:
        done(there)
    left = (caught.value.until - datetime.now(UTC)).total_seconds()
    assert 3500 < left <= 3601
    done(there, Call("okx", "api.example", "/x", 1))
    done(there, Call("binance", "other.example", "/x", 1))


def test_refused_key_closes_the_door_for_that_key_only(store: Store) -> None:
    call = Call("coinglass", "api.example", "/api/x", 1)
    old, new = (fresh(store, keys={"coinglass": k}) for k in ("aaaa", "bbbb"))
    done(old, call, error=AuthError("HTTP 401"), status=401)
    with pytest.raises(CircuitOpen):
        done(old, call)
    done(new, call)
    assert store.look(Scope("coinglass", "api.example"))[0].state is State.CLOSED


def test_request_broken_off_before_a_reply_gives_its_probe_back(store: Store) -> None:
    gate = fresh(store, policy=Policy(failures=1, open_s=0.0))
    done(gate, error=DOWN, status=503)
    with pytest.raises(KeyboardInterrupt), gate.enter(SPOT):
        gate.observe(SPOT, status=None, headers={}, error=None)
        raise KeyboardInterrupt
    assert store.look(Scope("binance", "api.example"))[0].probe_token is None
    done(gate)
    done(gate)
    assert gate.status("binance", "api.example").breaker == Breaker()


def test_threads_that_meet_a_half_open_breaker_send_one_probe_and_wait_for_it(store: Store) -> None:
    gate = fresh(store, policy=Policy(failures=1, open_s=0.0, successes=1), patience_s=5.0)
    done(gate, error=DOWN, status=503)
    first, others, all_in = [], threading.Event(), threading.Barrier(6)
    lock = threading.Lock()
    alone: list[bool] = []

    def work() -> None:
        all_in.wait()
        with gate.enter(SPOT):
            with lock:
                first.append(1)
                probe = len(first) == 1
            if probe:
                alone.append(not others.wait(0.3))
            else:
                others.set()
            gate.observe(SPOT, status=200, headers={}, error=None)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alone == [True]
    assert len(first) == 6


def test_without_its_database_the_gate_goes_on_alone(caplog: pytest.LogCaptureFixture) -> None:
    def connect() -> None:
        raise RuntimeError("no connection to postgresql://localhost")

    gate = HostGate(PostgresStore(connect))  # type: ignore[arg-type]
    done(gate, error=Banned("HTTP 418", retry_after=100), status=418)
    with pytest.raises(CircuitOpen):
        done(gate)
    assert [r.levelname for r in caplog.records].count("WARNING") == 2, "said once, and the opening"


def test_rows_about_hosts_of_long_ago_are_removed(database: Database) -> None:
    gate = HostGate(PostgresStore(database.connect))
    done(gate, error=DOWN, status=503)
    with database.connect() as connection:
        for name in ("rate_budgets", "breaker_state"):
            connection.execute(f"update ops.{name} set updated_at = now() - interval '8 days'")
    done(gate, Call("okx", "o.example", "/api/v5/market/candles", 1), error=DOWN, status=503)
    with database.connect() as connection:
        for name in ("rate_budgets", "breaker_state"):
            rows = connection.execute(f"select source from ops.{name}").fetchall()
            assert rows == [("okx",)], name
