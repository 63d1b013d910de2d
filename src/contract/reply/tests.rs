use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::text::arbitrary::{json as any_json, spaced, spaces};

fn reply(dialect: &Dialect, operation: Operation, body: &str) -> Result<String, ReplyError> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let shown = show(dialect, operation, &body)?;
    Ok(String::from_utf8(shown.to_vec()).unwrap())
}

fn show(dialect: &Dialect, operation: Operation, body: &Bytes) -> Result<Bytes, ReplyError> {
    Ok(outline(dialect, operation, str::from_utf8(body).unwrap())?.show(body))
}

fn outline(dialect: &Dialect, operation: Operation, text: &str) -> Result<ReplyOutline, ReplyError> {
    let layout = Layout::of(text).ok_or(ReplyError::NotAnObject)?;
    let object = layout.object(text).ok_or(ReplyError::NotAnObject)?;
    dialect.outline(operation, object, &StampKey::default())
}

#[track_caller]
fn sandbase(body: &str) -> String {
    reply(&Dialect::SANDBASE, Operation::Update, body).unwrap()
}

#[test]
fn the_native_dialect_passes_the_very_same_bytes() {
    let body =
        Bytes::from_static(b" {\"id\":\"e\",\"scope\":null,\"n\":1e400,\"config\":{\"type\":\"cloud\"}}\n");
    let reply = show(&Dialect::ANTHROPIC, Operation::Retrieve, &body).unwrap();
    assert_eq!(reply.as_ptr(), body.as_ptr(), "no copy is made");
    assert_eq!(reply, body);
}

#[test]
fn the_facade_copies_nothing_where_nothing_changes() {
    let body = Bytes::from_static(br#"{"id":"e","config":{"type":"self_hosted"}}"#);
    let reply = show(&Dialect::SANDBASE, Operation::Retrieve, &body).unwrap();
    assert_eq!(reply.as_ptr(), body.as_ptr());
}

#[test]
fn the_facade_has_no_scope() {
    assert_eq!(
        sandbase(r#"{"scope":"account", "id":"e","metadata":{"scope":"mine"},"scope":null}"#),
        r#"{"id":"e","metadata":{"scope":"mine"}}"#
    );
}

#[test]
fn the_facade_answers_with_all_package_lists() {
    assert_eq!(
        sandbase(r#"{"id":"e","config":{"type":"cloud","packages":{"pip":["a"],"go":null}}}"#),
        r#"{"id":"e","config":{"type":"cloud","packages":{"pip":["a"],"go":[],"type":"packages","apt":[],"cargo":[],"gem":[],"npm":[]}}}"#
    );
    let whole = r#"{"type":"packages","apt":[],"cargo":[],"gem":[],"go":[],"npm":[],"pip":[]}"#;
    for config in [
        r#"{"type":"cloud"}"#,
        r#"{"type":"cloud","packages":null}"#,
        r#"{"type":"cloud","packages":{}}"#,
    ] {
        assert_eq!(
            sandbase(&format!(r#"{{"id":"e","config":{config}}}"#)),
            format!(r#"{{"id":"e","config":{{"type":"cloud","packages":{whole}}}}}"#)
        );
    }
}

#[test]
fn the_facade_leaves_what_it_does_not_know() {
    for body in [
        r#"{"id":"e","state":"x","n":123456789012345678901234567890.10,"config":{"type":"moon","packages":{}}}"#,
        r#"{"id":"e","config":null}"#,
        r#"{"id":"e","config":{"type":"cloud","packages":["odd"]}}"#,
        r#"{"id":"e","\ud800":1}"#,
    ] {
        assert_eq!(sandbase(body), body);
    }
}

#[test]
fn each_environment_of_a_list_is_edited() {
    let body = r#"{"data":[{"id":"a","scope":null},{"id":"b", "config":{"type":"cloud","packages":null}},null],"next_page":null}"#;
    assert_eq!(
        reply(&Dialect::SANDBASE, Operation::List, body).unwrap(),
        r#"{"data":[{"id":"a"},{"id":"b", "config":{"type":"cloud","packages":{"type":"packages","apt":[],"cargo":[],"gem":[],"go":[],"npm":[],"pip":[]}}},null],"next_page":null}"#
    );
}

#[test]
fn a_success_that_no_client_can_read_is_refused() {
    for dialect in [&Dialect::SANDBASE, &Dialect::ANTHROPIC] {
        for body in ["", "null", "[]", "<html>", "{", "{} {}", "{}", r#"{"name":"a"}"#] {
            for operation in Operation::ALL
                .into_iter()
                .filter(|operation| *operation != Operation::Delete)
            {
                assert_eq!(
                    reply(dialect, operation, body),
                    Err(ReplyError::NotAnObject),
                    "{body}"
                );
            }
        }
        assert!(reply(dialect, Operation::List, r#"{"data":{}}"#).is_err());
        assert!(reply(dialect, Operation::Delete, "[]").is_err());
        assert!(
            reply(
                dialect,
                Operation::Delete,
                r#"{"id":"e","type":"environment_deleted"}"#
            )
            .is_ok()
        );
    }
}

/// What the facade makes of an environment, done on a tree.
fn edited_tree(mut environment: Value) -> Value {
    let members = environment.as_object_mut().unwrap();
    members.shift_remove("scope");
    let Some(config) = members.get_mut("config").and_then(Value::as_object_mut) else {
        return environment;
    };
    if config.get("type") != Some(&json!("cloud")) {
        return environment;
    }
    let packages = config.entry("packages").or_insert(Value::Null);
    if packages.is_null() {
        *packages = json!({});
    }
    if let Some(packages) = packages.as_object_mut() {
        for (name, value) in crate::environment::PackageManager::ALL
            .map(|manager| (manager.name(), json!([])))
            .into_iter()
            .chain([("type", json!("packages"))])
        {
            let member = packages.entry(name).or_insert(Value::Null);
            if member.is_null() {
                *member = value;
            }
        }
    }
    environment
}

fn environment() -> impl Strategy<Value = Value> {
    let list_name = prop::sample::select(vec!["apt", "cargo", "gem", "go", "npm", "pip", "type", "new"]);
    let list = prop_oneof![Just(json!(null)), Just(json!([])), Just(json!(["a"])), any_json()];
    let packages = prop_oneof![
        3 => prop::collection::btree_map(list_name, list, 0..8).prop_map(|lists| json!(lists)),
        1 => any_json(),
    ];
    let kind = prop::sample::select(vec![json!("cloud"), json!("self_hosted"), json!(null)]);
    let config = (kind, prop::option::of(packages), any_json()).prop_map(|(kind, packages, other)| {
        let mut config = json!({"networking": other, "type": kind});
        if let Some(packages) = packages {
            config["packages"] = packages;
        }
        config
    });
    (
        prop_oneof![3 => config, 1 => any_json()],
        prop::option::of(any_json()),
        any_json(),
        any_json(),
    )
        .prop_map(|(config, scope, odd, metadata)| {
            let mut environment = json!({"odd": odd, "id": "env_1", "config": config, "metadata": metadata});
            if let Some(scope) = scope {
                environment["scope"] = scope;
            }
            environment
        })
}

proptest! {
    #[test]
    fn a_reply_means_the_same_as_one_that_was_edited_as_a_tree(environment in environment(), spaces in spaces()) {
        let mut spaces = spaces.into_iter().cycle();
        let text = spaced(&environment, &mut spaces);
        // Through the text, so that numbers have passed the same reader.
        let environment: Value = serde_json::from_str(&text).unwrap();
        let edited = sandbase(&text);
        prop_assert_eq!(serde_json::from_str::<Value>(&edited).unwrap(), edited_tree(environment.clone()));

        let list = format!(r#"{{"data":[{text},{text}]}}"#);
        let edited = reply(&Dialect::SANDBASE, Operation::List, &list).unwrap();
        let tree = edited_tree(environment);
        prop_assert_eq!(serde_json::from_str::<Value>(&edited).unwrap(), json!({"data": [tree, tree]}));
    }

    #[test]
    fn what_the_facade_does_not_edit_stays_byte_for_byte(environment in environment(), spaces in spaces()) {
        let mut spaces = spaces.into_iter().cycle();
        let text = spaced(&environment, &mut spaces);
        let edited = sandbase(&text);
        let layouts = [&text, &edited].map(|text| Layout::of(text).unwrap());
        let [before, after] = [layouts[0].object(&text).unwrap(), layouts[1].object(&edited).unwrap()];
        for name in ["id", "odd", "metadata"] {
            prop_assert_eq!(before.member(name).unwrap().written(), after.member(name).unwrap().written());
        }
    }
}

#[test]
fn no_dialect_shows_a_stamp_and_all_else_stays() {
    let stamped =
        r#"{"id":"e","scope":null,"metadata":{"a":"b", "\u0065nvgate:tenant":"ten_1" ,"c":"d"},"x":1.0}"#;
    let shown = r#"{"id":"e","scope":null,"metadata":{"a":"b" ,"c":"d"},"x":1.0}"#;
    for operation in [
        Operation::Create,
        Operation::Retrieve,
        Operation::Update,
        Operation::Archive,
    ] {
        assert_eq!(reply(&Dialect::ANTHROPIC, operation, stamped).unwrap(), shown);
        assert!(
            !reply(&Dialect::SANDBASE, operation, stamped)
                .unwrap()
                .contains("ten_1")
        );
    }
    let list = |environment: &str| format!(r#"{{"data":[{environment}, {environment}],"next_page":null}}"#);
    assert_eq!(
        reply(&Dialect::ANTHROPIC, Operation::List, &list(stamped)).unwrap(),
        list(shown)
    );
}

#[test]
fn the_owner_and_the_id_of_an_environment_are_told_beside_its_body() {
    let told = |body: &'static str| {
        let outline = outline(&Dialect::SANDBASE, Operation::Create, body).unwrap();
        (outline.environment.map(String::from), outline.stamp)
    };
    let owned = |text: &str| Some(text.to_owned());
    assert_eq!(
        told(r#"{"id":"e","metadata":{"envgate:tenant":"ten_1"}}"#),
        (owned("e"), owned("ten_1"))
    );
    assert_eq!(
        told(r#"{"id":"e","metadata":{"envgate:tenant":1}}"#),
        (owned("e"), None)
    );
    assert_eq!(told(r#"{"id":"/","metadata":null}"#), (None, None));
}
