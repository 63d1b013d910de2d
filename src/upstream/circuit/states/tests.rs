use proptest::prelude::*;

use super::*;

const PAUSE: Duration = Duration::from_secs(10);
const SETTINGS: config::Circuit = config::Circuit {
    failures: 3,
    pause: PAUSE,
};
const SECOND: Duration = Duration::from_secs(1);

fn tenant(name: &str) -> TenantId {
    TenantId(name.to_owned())
}

/// A request that is sent and ends at once.
fn ask(states: &mut States, sender: Sender<'_>, health: Option<Health>, now: Instant) {
    let generation = states.admit(sender, now).unwrap();
    states.record(generation, sender, health, now);
}

fn fail(states: &mut States, sender: Sender<'_>, count: usize, now: Instant) {
    for _ in 0..count {
        ask(states, sender, Some(Health::Failing), now);
    }
}

fn is_closed(states: &States) -> bool {
    matches!(states.state, State::Closed(_))
}

/// When the next test may be sent.
fn opens_at(states: &States) -> Instant {
    match states.state {
        State::Open { until, .. } => until,
        ref other => panic!("{other:?} is not open"),
    }
}

/// Opened at `now` by two tenants.
fn opened(now: Instant) -> States {
    let mut states = States::new(SETTINGS);
    for name in ["a", "b"] {
        fail(&mut states, Sender::Tenant(&tenant(name)), 3, now);
    }
    assert!(!is_closed(&states));
    states
}

#[test]
fn two_tenants_that_fail_so_often_in_a_row_open_it() {
    let now = Instant::now();
    let mut states = States::new(SETTINGS);
    fail(&mut states, Sender::Tenant(&tenant("a")), 3, now);
    fail(&mut states, Sender::Tenant(&tenant("b")), 2, now);
    assert!(is_closed(&states));
    fail(&mut states, Sender::Tenant(&tenant("b")), 1, now);
    assert!(!is_closed(&states));
}

#[test]
fn one_tenant_alone_has_a_probe_decide() {
    let now = Instant::now();
    for (health, is_open) in [
        (Health::Well, false),
        (Health::Failing, true),
        (Health::Unreachable, true),
    ] {
        let mut states = States::new(SETTINGS);
        let one = tenant("a");
        fail(&mut states, Sender::Tenant(&one), 2, now);
        assert!(!states.take_probe());
        fail(&mut states, Sender::Tenant(&one), 1, now);
        assert!(states.take_probe() && !states.take_probe(), "one");
        fail(&mut states, Sender::Tenant(&one), 100, now);
        assert!(is_closed(&states), "whatever it sends");
        assert!(!states.take_probe(), "one a pause");
        ask(&mut states, Sender::Probe, Some(health), now);
        assert_eq!(!is_closed(&states), is_open, "{health:?}");
    }
}

#[test]
fn a_probe_is_wanted_once_a_pause_at_most() {
    let now = Instant::now();
    let mut states = States::new(SETTINGS);
    let one = tenant("a");
    for (at, wanted) in [(now, true), (now + PAUSE - SECOND, false), (now + PAUSE, true)] {
        fail(&mut states, Sender::Tenant(&one), 3, at);
        assert_eq!(states.take_probe(), wanted);
        ask(&mut states, Sender::Probe, Some(Health::Well), at);
    }
}

#[test]
fn many_tenants_with_few_failures_each_have_a_probe_decide_too() {
    let now = Instant::now();
    let mut states = States::new(SETTINGS);
    for name in ["a", "b", "c"] {
        fail(&mut states, Sender::Tenant(&tenant(name)), 1, now);
    }
    assert!(is_closed(&states) && states.take_probe());
    ask(&mut states, Sender::Probe, Some(Health::Failing), now);
    assert!(!is_closed(&states));
}

#[test]
fn failures_to_connect_open_it_whoever_has_them() {
    let now = Instant::now();
    let mut states = States::new(SETTINGS);
    let one = tenant("a");
    for _ in 0..2 {
        ask(&mut states, Sender::Tenant(&one), Some(Health::Unreachable), now);
        assert!(is_closed(&states));
    }
    ask(&mut states, Sender::Tenant(&one), Some(Health::Unreachable), now);
    assert!(!is_closed(&states) && !states.take_probe());
}

#[test]
fn an_answer_between_failures_begins_the_count_anew() {
    let now = Instant::now();
    let mut states = States::new(SETTINGS);
    let (one, other) = (tenant("a"), tenant("b"));
    for _ in 0..10 {
        fail(&mut states, Sender::Tenant(&one), 2, now);
        ask(&mut states, Sender::Tenant(&other), Some(Health::Well), now);
    }
    assert!(is_closed(&states) && !states.take_probe());
}

#[test]
fn whoever_comes_while_it_is_open_hears_how_long_it_will_be() {
    let now = Instant::now();
    let mut states = opened(now);
    let until = opens_at(&states);
    assert!((PAUSE..=PAUSE * 5 / 4).contains(&(until - now)));
    let visitor = tenant("c");
    for left in [9 * SECOND, Duration::from_millis(1)] {
        let refused = states.admit(Sender::Tenant(&visitor), until - left);
        assert_eq!(refused.unwrap_err().retry_after, left);
    }
}

#[test]
fn after_the_pause_one_request_tests_and_the_others_wait() {
    let mut states = opened(Instant::now());
    let now = opens_at(&states);
    let (tester, other) = (tenant("c"), tenant("d"));
    let testing = states.admit(Sender::Tenant(&tester), now).unwrap();
    let refused = states.admit(Sender::Tenant(&other), now);
    assert_eq!(refused.unwrap_err().retry_after, WHILE_TRYING);
    states.record(testing, Sender::Tenant(&tester), Some(Health::Well), now);
    assert!(is_closed(&states));
}

#[test]
fn each_test_that_fails_doubles_the_pause_up_to_a_minute() {
    let mut states = opened(Instant::now());
    let tester = tenant("c");
    for seconds in [20, 40, 60, 60] {
        let now = opens_at(&states);
        fail(&mut states, Sender::Tenant(&tester), 1, now);
        let pause = opens_at(&states) - now;
        let shortest = seconds * SECOND;
        assert!(
            pause >= shortest && pause <= shortest * 5 / 4,
            "{pause:?} for {shortest:?}"
        );
    }
    let now = opens_at(&states);
    ask(&mut states, Sender::Tenant(&tester), Some(Health::Well), now);
    for name in ["a", "b"] {
        fail(&mut states, Sender::Tenant(&tenant(name)), 3, now);
    }
    assert!(
        opens_at(&states) - now <= PAUSE * 5 / 4,
        "the next outage begins anew"
    );
}

#[test]
fn pauses_are_not_all_alike() {
    let now = Instant::now();
    let pauses: Vec<_> = (0..8).map(|_| opens_at(&opened(now))).collect();
    assert!(pauses.iter().any(|until| Some(until) != pauses.first()));
}

#[test]
fn the_tenant_that_opened_it_does_not_test_twice_in_a_row() {
    let mut states = States::new(SETTINGS);
    let opener = tenant("a");
    let now = Instant::now();
    fail(&mut states, Sender::Tenant(&opener), 3, now);
    assert!(states.take_probe());
    fail(&mut states, Sender::Probe, 1, now);

    let now = opens_at(&states);
    fail(&mut states, Sender::Tenant(&opener), 1, now);
    let now = opens_at(&states);
    assert!(
        states.admit(Sender::Tenant(&opener), now).is_err(),
        "it had its test"
    );
    assert!(states.take_probe(), "somebody else is to test");
    assert!(states.admit(Sender::Tenant(&opener), now).is_err() && !states.take_probe());
    fail(&mut states, Sender::Tenant(&tenant("b")), 1, now);
    let now = opens_at(&states);
    fail(&mut states, Sender::Tenant(&opener), 1, now);
    assert!(states.admit(Sender::Probe, opens_at(&states)).is_ok());
}

#[test]
fn a_tenant_that_did_not_open_it_may_test_as_often_as_it_comes() {
    let mut states = opened(Instant::now());
    let visitor = tenant("c");
    for _ in 0..3 {
        let now = opens_at(&states);
        fail(&mut states, Sender::Tenant(&visitor), 1, now);
    }
}

#[test]
fn a_test_that_is_given_up_makes_way_for_the_next() {
    let mut states = opened(Instant::now());
    let now = opens_at(&states);
    let (first, second) = (tenant("c"), tenant("d"));
    let given_up = states.admit(Sender::Tenant(&first), now).unwrap();
    states.record(given_up, Sender::Tenant(&first), None, now);
    let next = states.admit(Sender::Tenant(&second), now).unwrap();
    assert!(
        states.admit(Sender::Tenant(&first), now).is_err(),
        "one at a time"
    );
    states.record(given_up, Sender::Tenant(&first), Some(Health::Failing), now);
    states.record(next, Sender::Tenant(&second), Some(Health::Well), now);
    assert!(is_closed(&states));
}

#[test]
fn requests_from_before_it_opened_change_nothing() {
    let mut states = States::new(SETTINGS);
    let late = states.generation;
    let now = Instant::now();
    for name in ["a", "b"] {
        fail(&mut states, Sender::Tenant(&tenant(name)), 3, now);
    }
    let until = opens_at(&states);
    for health in [Some(Health::Well), Some(Health::Failing), None] {
        states.record(late, Sender::Probe, health, now + SECOND);
        assert_eq!(opens_at(&states), until);
    }
    states.admit(Sender::Probe, until).unwrap();
    states.record(late, Sender::Probe, Some(Health::Well), until);
    assert!(matches!(states.state, State::HalfOpen { is_trying: true, .. }));
}

#[test]
fn at_nought_it_never_opens() {
    let now = Instant::now();
    let mut states = States::new(config::Circuit {
        failures: 0,
        ..SETTINGS
    });
    for name in ["a", "b"] {
        let one = tenant(name);
        for health in [Health::Failing, Health::Unreachable] {
            for _ in 0..100 {
                ask(&mut states, Sender::Tenant(&one), Some(health), now);
            }
        }
    }
    assert!(is_closed(&states) && !states.take_probe());
}

/// What happens to the circuit next. Tenants have numbers; the last of them is the gateway's own probe.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Ask(usize),
    /// The request of this number, of those on their way, ends.
    End(usize, Option<Health>),
}

const PROBE: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let health = prop_oneof![
        Just(None),
        Just(Some(Health::Well)),
        Just(Some(Health::Unreachable)),
        Just(Some(Health::Failing)),
        Just(Some(Health::Failing))
    ];
    prop_oneof![
        (0..6_000_u64).prop_map(Step::Wait),
        (0..=PROBE).prop_map(Step::Ask),
        (0..=PROBE).prop_map(Step::Ask),
        (any::<prop::sample::Index>(), health).prop_map(|(index, health)| Step::End(index.index(64), health)),
    ]
}

proptest! {
    /// Whatever happens in whatever order: while it is open nothing is sent, while it is half-open one
    /// request is on its way at most, and a probe always gets it out of there.
    #[test]
    fn it_sends_one_request_at_most_while_the_upstream_is_not_known_to_be_well(
        steps in prop::collection::vec(step(), 1..200)
    ) {
        let tenants = ["a", "b", "c"].map(tenant);
        let sender = |number: usize| tenants.get(number).map_or(Sender::Probe, Sender::Tenant);
        let mut now = Instant::now();
        let mut states = States::new(SETTINGS);
        let mut on_their_way: Vec<(u64, usize)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Ask(number) => {
                    let may = match states.state {
                        State::Closed(_) | State::HalfOpen { is_trying: false, .. } => true,
                        State::HalfOpen { is_trying: true, .. } => false,
                        State::Open { until, .. } => now >= until,
                    };
                    let admitted = states.admit(sender(number), now);
                    prop_assert!(may || admitted.is_err());
                    prop_assert!(!may || number != PROBE || admitted.is_ok());
                    on_their_way.extend(admitted.ok().map(|generation| (generation, number)));
                }
                Step::End(index, health) if !on_their_way.is_empty() => {
                    let (ended, number) = on_their_way.swap_remove(index % on_their_way.len());
                    states.record(ended, sender(number), health, now);
                }
                Step::End(..) => {}
            }
            let of_now = on_their_way.iter().filter(|(generation, _)| *generation == states.generation);
            let testing = of_now.count();
            match &states.state {
                State::HalfOpen { is_trying, .. } => prop_assert_eq!(testing, usize::from(*is_trying)),
                State::Open { until, .. } => {
                    prop_assert!(testing == 0 && *until <= now + LONGEST_PAUSE * 5 / 4);
                }
                State::Closed(failures) => prop_assert!(failures.unreachable_in_a_row < SETTINGS.failures),
            }
        }
        for (ended, number) in on_their_way {
            states.record(ended, sender(number), None, now);
        }
        let later = now + LONGEST_PAUSE * 2;
        prop_assert!(states.admit(Sender::Probe, later).is_ok(), "stuck in {:?}", states.state);
    }
}
