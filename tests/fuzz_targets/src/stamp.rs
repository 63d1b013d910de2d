//! The stamp in a create: the body is the same before and after, but for the stamp.

use envgate::contract::StampKey;
use serde_json::{Map, Value};

use crate::document::{is_json, plain_value};
use crate::spelling;

const STAMP: &str = "ten_1";

pub(super) fn check(bytes: &[u8]) {
    let text = spelling::text(bytes);
    let Ok(body) = std::str::from_utf8(&text) else {
        return;
    };
    let key = StampKey::default();
    let stamped = key.insert(body, STAMP);
    if let Some(stamped) = &stamped {
        assert!(is_json(stamped.as_bytes()), "{body} became {stamped}");
    }
    // Only such bodies come so far.
    let Some(before) = plain_value(body.as_bytes()) else {
        return;
    };
    if key.refuse(&before).is_err() {
        return;
    }
    let expected = expected(before, &key);
    let after = stamped
        .as_ref()
        .map(|stamped| plain_value(stamped.as_bytes()).expect("no name stands twice"));
    assert_eq!(after, expected, "{body}");
    let Some(stamped) = stamped else { return };
    // The client's bytes stand before and after what was put in.
    let same = body
        .bytes()
        .zip(stamped.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let added = stamped.len() - body.len();
    assert!(
        (0..=same).any(|at| stamped.as_bytes()[at + added..] == body.as_bytes()[at..]),
        "{body} became {stamped}"
    );
}

/// What the body should be; none where it, or its metadata, is no object.
fn expected(body: Value, key: &StampKey) -> Option<Value> {
    let Value::Object(mut body) = body else {
        return None;
    };
    let metadata = body
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    metadata.as_object_mut()?.insert(key.to_string(), STAMP.into());
    Some(Value::Object(body))
}
