use proptest::prelude::*;

use super::*;

const PAUSE: Duration = Duration::from_secs(10);
const SETTINGS: config::Circuit = config::Circuit {
    failures: 3,
    pause: PAUSE,
};
const SECOND: Duration = Duration::from_secs(1);

/// The state machine after so many failures in a row, the last one at `now`.
fn failed(count: usize, now: Instant) -> States {
    let mut states = States::new(SETTINGS);
    for _ in 0..count {
        let generation = states.admit(now).unwrap();
        states.record(generation, Some(Health::Failing), now);
    }
    states
}

fn left(states: &mut States, now: Instant) -> Option<Duration> {
    states.admit(now).err().map(|open| open.retry_after)
}

#[test]
fn it_opens_after_so_many_failures_in_a_row() {
    let now = Instant::now();
    assert_eq!(left(&mut failed(2, now), now), None);
    assert_eq!(left(&mut failed(3, now), now), Some(PAUSE));
}

#[test]
fn an_answer_between_failures_begins_the_count_anew() {
    let now = Instant::now();
    let mut states = failed(2, now);
    states.record(states.generation, Some(Health::Well), now);
    states.record(states.generation, Some(Health::Failing), now);
    states.record(states.generation, Some(Health::Failing), now);
    assert_eq!(left(&mut states, now), None);
}

#[test]
fn whoever_comes_while_it_is_open_hears_how_long_it_will_be() {
    let now = Instant::now();
    let mut states = failed(3, now);
    assert_eq!(left(&mut states, now + SECOND), Some(9 * SECOND));
    assert_eq!(
        left(&mut states, now + PAUSE - Duration::from_millis(1)),
        Some(Duration::from_millis(1))
    );
}

#[test]
fn after_the_pause_one_request_tries_and_the_others_wait() {
    let now = Instant::now();
    let mut states = failed(3, now);
    let trying = states.admit(now + PAUSE).unwrap();
    assert_eq!(left(&mut states, now + PAUSE), Some(WHILE_TRYING));
    states.record(trying, Some(Health::Well), now + PAUSE);
    assert_eq!(states.state, State::Closed { failures: 0 });
}

#[test]
fn a_try_that_fails_opens_it_again_for_as_long() {
    let now = Instant::now();
    let mut states = failed(3, now);
    let trying = states.admit(now + PAUSE).unwrap();
    states.record(trying, Some(Health::Failing), now + PAUSE + SECOND);
    assert_eq!(left(&mut states, now + PAUSE + SECOND), Some(PAUSE));
}

#[test]
fn a_try_that_is_given_up_makes_way_for_the_next() {
    let now = Instant::now();
    let mut states = failed(3, now);
    let given_up = states.admit(now + PAUSE).unwrap();
    states.record(given_up, None, now + PAUSE);
    let next = states.admit(now + PAUSE).unwrap();
    assert_eq!(
        left(&mut states, now + PAUSE),
        Some(WHILE_TRYING),
        "one at a time"
    );
    states.record(given_up, Some(Health::Failing), now + PAUSE);
    states.record(next, Some(Health::Well), now + PAUSE);
    assert_eq!(states.state, State::Closed { failures: 0 });
}

#[test]
fn requests_from_before_it_opened_change_nothing() {
    let now = Instant::now();
    let mut states = failed(2, now);
    let (early, late) = (states.generation, states.generation);
    states.record(early, Some(Health::Failing), now);
    for health in [Some(Health::Well), Some(Health::Failing), None] {
        states.record(late, health, now + SECOND);
        assert_eq!(left(&mut states, now + SECOND), Some(9 * SECOND));
    }
    states.admit(now + PAUSE).unwrap();
    states.record(late, Some(Health::Well), now + PAUSE);
    assert_eq!(states.state, State::HalfOpen { is_trying: true });
}

#[test]
fn at_nought_it_never_opens() {
    let now = Instant::now();
    let mut states = States::new(config::Circuit {
        failures: 0,
        ..SETTINGS
    });
    for _ in 0..100 {
        let generation = states.admit(now).unwrap();
        states.record(generation, Some(Health::Failing), now);
    }
    assert_eq!(left(&mut states, now), None);
}

#[test]
fn the_operator_sees_it_open_and_close() {
    let metrics = crate::telemetry::Metrics::new().unwrap().upstream;
    let circuit = Circuit::new(config::Circuit {
        failures: 1,
        pause: Duration::from_millis(20),
    });
    circuit.admit(&metrics).ok().unwrap().report(Health::Well);
    assert_eq!(metrics.circuit_state.get(), 0);

    circuit.admit(&metrics).ok().unwrap().report(Health::Failing);
    assert!(circuit.admit(&metrics).is_err());
    assert_eq!(
        (metrics.circuit_state.get(), metrics.circuit_opened.get()),
        (2, 1)
    );
    assert_eq!(metrics.circuit_refused.get(), 1);

    let reopening = Instant::now() + Duration::from_millis(20);
    while Instant::now() < reopening {
        std::thread::yield_now();
    }
    drop(circuit.admit(&metrics).ok().unwrap());
    let trying = circuit.admit(&metrics).ok().unwrap();
    assert_eq!(metrics.circuit_state.get(), 1);
    assert!(circuit.admit(&metrics).is_err());
    trying.report(Health::Well);
    assert_eq!(
        (metrics.circuit_state.get(), metrics.circuit_opened.get()),
        (0, 1)
    );
}

/// What happens to the circuit next.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Ask,
    /// The request of this number, of those on their way, ends.
    End(usize, Option<Health>),
}

fn step() -> impl Strategy<Value = Step> {
    let health = prop_oneof![
        Just(None),
        Just(Some(Health::Well)),
        Just(Some(Health::Failing)),
        Just(Some(Health::Failing))
    ];
    prop_oneof![
        (0..6_000_u64).prop_map(Step::Wait),
        Just(Step::Ask),
        Just(Step::Ask),
        (any::<prop::sample::Index>(), health).prop_map(|(index, health)| Step::End(index.index(64), health)),
    ]
}

proptest! {
    /// Whatever happens in whatever order: while it is open nothing is sent, while it is half-open one request is on
    /// its way at most, and it is never stuck.
    #[test]
    fn it_sends_one_request_at_most_while_the_upstream_is_not_known_to_be_well(steps in prop::collection::vec(step(), 1..200)) {
        let mut now = Instant::now();
        let mut states = States::new(SETTINGS);
        let mut on_their_way: Vec<u64> = Vec::new();
        for step in steps {
            let before = states.state;
            match step {
                Step::Wait(millis) => now += Duration::from_millis(millis),
                Step::Ask => {
                    let admitted = states.admit(now);
                    let may = match before {
                        State::Closed { .. } | State::HalfOpen { is_trying: false } => true,
                        State::HalfOpen { is_trying: true } => false,
                        State::Open { until } => now >= until,
                    };
                    prop_assert_eq!(admitted.is_ok(), may);
                    on_their_way.extend(admitted.ok());
                }
                Step::End(index, health) if !on_their_way.is_empty() => {
                    let ended = on_their_way.swap_remove(index % on_their_way.len());
                    states.record(ended, health, now);
                }
                Step::End(..) => {}
            }
            let trying = on_their_way.iter().filter(|generation| **generation == states.generation).count();
            match states.state {
                State::HalfOpen { is_trying } => prop_assert_eq!(trying, usize::from(is_trying)),
                State::Open { until } => prop_assert!(trying == 0 && until <= now + PAUSE),
                State::Closed { failures } => prop_assert!(failures < SETTINGS.failures),
            }
        }
        for ended in on_their_way {
            states.record(ended, None, now);
        }
        prop_assert!(states.admit(now + PAUSE).is_ok(), "stuck in {:?}", states.state);
    }
}
