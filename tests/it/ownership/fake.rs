//! An upstream of the test's own behind a gateway that stamps.

use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{Then, Upstream};

/// A gateway that stamps, in front of an upstream of the test's own.
pub(crate) fn stamping(upstream: &Upstream) -> Envgate {
    Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_OWNERSHIP__STAMP", "true")
        .start()
}

pub(crate) fn environment(id: &str, metadata: &str) -> String {
    format!(r#"{{"id":"{id}","type":"environment","name":"n","metadata":{metadata},"n":1.0}}"#)
}

pub(crate) fn not_found() -> Then {
    let body = r#"{"type":"error","error":{"type":"not_found_error","message":"theirs","details":{"error_code":"x"}}}"#;
    Then::respond("404 Not Found", &[], body)
}

pub(crate) fn ok(body: &str) -> Then {
    Then::respond("200 OK", &[("content-type", "application/json")], body)
}
