//! A reply as a tenant sees it, against the same done on a tree: the stamp is gone, the dialect is right, and nothing
//! else has changed.

use bytes::Bytes;
use envgate::contract::{Dialect, Layout, Object, Operation, PageOutline, StampKey};
use serde_json::{Map, Value, json};

use crate::document::{is_json, plain_value};
use crate::spelling;

const PACKAGE_MANAGERS: [&str; 6] = ["apt", "cargo", "gem", "go", "npm", "pip"];

pub(super) fn check(bytes: &[u8]) {
    let body = Bytes::from(spelling::text(bytes).into_owned());
    let text = str::from_utf8(&body).unwrap_or_default();
    let layout = Layout::of(text);
    // Others read nothing so deep.
    assert!(layout.is_some() || !is_json(text.as_bytes()), "{text}");
    let Some(object) = layout.as_ref().and_then(|layout| layout.object(text)) else {
        return;
    };
    for dialect in [&Dialect::SANDBASE, &Dialect::ANTHROPIC] {
        for operation in Operation::ALL {
            check_reply(dialect, operation, object, &body);
        }
    }
    check_page(object, &body);
}

fn check_reply(dialect: &Dialect, operation: Operation, object: Object<'_>, body: &Bytes) {
    let key = StampKey::default();
    let Ok(outline) = dialect.outline(operation, object, &key) else {
        return;
    };
    let shown = outline.show(body);
    assert!(is_json(&shown), "{operation:?}: {body:?} became {shown:?}");
    let (Some(before), Some(after)) = (plain_value(body), plain_value(&shown)) else {
        return;
    };
    let is_facade = dialect.name == Dialect::SANDBASE.name;
    let expected = match operation {
        Operation::Delete => before.clone(),
        Operation::List => {
            let mut list = before.clone();
            let environments = list["data"].as_array_mut().expect("a list that was taken");
            environments
                .iter_mut()
                .for_each(|environment| edit(environment, is_facade, &key));
            list
        }
        _ => {
            let mut environment = before.clone();
            edit(&mut environment, is_facade, &key);
            environment
        }
    };
    assert_eq!(after, expected, "{operation:?} in {}: {body:?}", dialect.name);
    if before == expected {
        assert_eq!(shown, body, "what needs no change is the same, byte for byte");
    }
}

/// What a dialect makes of an environment.
fn edit(environment: &mut Value, is_facade: bool, key: &StampKey) {
    let Value::Object(environment) = environment else {
        return;
    };
    if let Some(Value::Object(metadata)) = environment.get_mut("metadata") {
        metadata.shift_remove(&key.to_string());
    }
    if !is_facade {
        return;
    }
    environment.shift_remove("scope");
    let Some(Value::Object(config)) = environment.get_mut("config") else {
        return;
    };
    if config.get("type") != Some(&json!("cloud")) {
        return;
    }
    let packages = config.entry("packages").or_insert(Value::Null);
    if packages.is_null() {
        *packages = Value::Object(Map::new());
    }
    let Value::Object(packages) = packages else { return };
    let whole = |name: &str| match name {
        "type" => json!("packages"),
        _ => json!([]),
    };
    for name in PACKAGE_MANAGERS.into_iter().chain(["type"]) {
        let list = packages.entry(name).or_insert(Value::Null);
        if list.is_null() {
            *list = whole(name);
        }
    }
}

/// A page put together anew out of all of its environments.
fn check_page(object: Object<'_>, body: &Bytes) {
    let Some(outline) = PageOutline::read(object, &StampKey::default()) else {
        return;
    };
    let texts: Vec<String> = outline
        .environments
        .iter()
        .map(|environment| outline.text_of(body, environment).to_owned())
        .collect();
    assert!(texts.iter().all(|text| is_json(text.as_bytes())));
    let shown = outline.show(body, &texts, Some("cursor"));
    assert!(is_json(&shown), "{body:?} became {shown:?}");
    let (Some(mut before), Some(after)) = (plain_value(body), plain_value(&shown)) else {
        return;
    };
    assert_eq!(after["next_page"], "cursor");
    let environments: Vec<Value> = texts
        .iter()
        .filter_map(|text| plain_value(text.as_bytes()))
        .collect();
    before["data"] = environments.into();
    before["next_page"] = "cursor".into();
    assert_eq!(after, before);
}
