//! Bad input gets an answer that a person can act on, in the dialect's envelope, and nothing of it reaches the
//! upstream.

mod framing;
mod parameters;
mod requests;

use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{Then, Upstream};
use serde_json::Value;

const PATH: &str = "/v1/environments/env_1";

/// A gateway before an upstream that must see nothing; said again when the test ends.
struct Guarded {
    envgate: Envgate,
    upstream: Upstream,
}

impl Guarded {
    fn start() -> Self {
        Self::with(|setup| setup)
    }

    fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::always(Then::environment());
        let envgate = change(Setup::new().upstream(upstream.address)).start();
        Self { envgate, upstream }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let seen = self.upstream.seen();
            assert!(seen.is_empty(), "the upstream was asked: {seen:?}");
        }
    }
}

fn refused(guarded: &Guarded, path: &str, body: &str) -> Value {
    guarded
        .envgate
        .post(path, body)
        .expect_error(400, "invalid_request")
}
