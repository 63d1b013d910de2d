//! Arbitrary JSON, for property tests.

use proptest::prelude::*;
use serde_json::Value;

/// The JSON of a value with white space wherever it may stand.
pub(crate) fn spaced(value: &Value, spaces: &mut impl Iterator<Item = &'static str>) -> String {
    let mut space = || spaces.next().unwrap_or("").to_owned();
    match value {
        Value::Array(elements) => {
            let (open, close) = (space(), space());
            let elements: Vec<_> = elements.iter().map(|element| spaced(element, spaces)).collect();
            format!("{open}[{}]{close}", elements.join(","))
        }
        Value::Object(members) => {
            let (open, close, inside) = (space(), space(), space());
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| {
                    let before = spaces.next().unwrap_or("");
                    let after = spaces.next().unwrap_or("");
                    format!(
                        "{before}{}{after}:{}",
                        Value::from(name.as_str()),
                        spaced(value, spaces)
                    )
                })
                .collect();
            format!("{open}{{{inside}{}}}{close}", members.join(","))
        }
        leaf => format!("{}{leaf}{}", space(), space()),
    }
}

/// White space to be strewn into a text.
pub(crate) fn spaces() -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(vec!["", "", " ", "\n", "\t\r "]), 1..40)
}

/// Any JSON value.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::from("a \\ \" } ] , {")),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let name = prop_oneof![
            any::<String>(),
            prop::sample::select(vec!["scope", "type", "a"]).prop_map(str::to_owned)
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// JSON of which one byte is another, so that it may be none any more.
pub(crate) fn changed_json() -> impl Strategy<Value = String> {
    let byte = prop::sample::select(b"\"\\{}[]:,0-.e+tn \n\x01u".to_vec());
    let changed = (json(), any::<prop::sample::Index>(), byte).prop_map(|(value, at, byte)| {
        let mut bytes = value.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        String::from_utf8(bytes)
    });
    changed.prop_filter_map("it is a text", Result::ok)
}

/// Short texts of what JSON is made of.
pub(crate) const NEARLY_JSON: &str = "[\\[\\]{}:,\"0-9eE.+a-f\\\\ -]{0,12}";
