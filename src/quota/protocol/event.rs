use proptest::prelude::*;

/// At most so many processes are there at once.
pub(super) const MOST_ALIVE: usize = 5;

/// What happens to whom; a number picks one of those that are alive.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Advance(u64),
    Start {
        is_cut: bool,
    },
    Stop(usize),
    Crash(usize),
    Cut(usize),
    /// What it says arrives, and no answer does.
    CutAnswers(usize),
    Mend(usize),
    /// Redis is started anew with all that it knew.
    RestartRedis,
    /// Redis is started anew and knows nothing.
    EmptyRedis,
    /// Its clock jumps by so many seconds. Where nobody is there to tell, that is as if they had gone by; so
    /// is one.
    JumpClock(i64),
    /// The upstream refuses a read.
    Refuse(usize),
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let which = 0..MOST_ALIVE;
    prop_oneof![
        8 => prop_oneof![1..10u64, 20..70u64, 60..130u64].prop_map(Event::Advance),
        3 => prop::bool::weighted(0.2).prop_map(|is_cut| Event::Start { is_cut }),
        2 => which.clone().prop_map(Event::Stop),
        1 => which.clone().prop_map(Event::Crash),
        2 => which.clone().prop_map(Event::Cut),
        1 => which.clone().prop_map(Event::CutAnswers),
        2 => which.clone().prop_map(Event::Mend),
        1 => Just(Event::RestartRedis),
        1 => Just(Event::EmptyRedis),
        1 => prop_oneof![-400..0i64, 2..400i64].prop_map(Event::JumpClock),
        1 => which.prop_map(Event::Refuse),
    ]
}
