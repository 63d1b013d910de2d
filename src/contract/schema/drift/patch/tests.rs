use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::contract::Operation;
use crate::contract::schema::Schemas;
use crate::contract::schema::drift::{ReplySchemas, UpstreamReply};

fn reply(operation: Operation, status: StatusCode, body: &Value) -> UpstreamReply {
    UpstreamReply {
        operation,
        status,
        is_encoded: false,
        body: Bytes::from(body.to_string()),
    }
}

fn findings(schemas: &ReplySchemas, replies: &[UpstreamReply]) -> Vec<Finding> {
    let mut found = Vec::new();
    for reply in replies {
        schemas.measure(reply, |_, sighting| {
            let finding = sighting.to_finding();
            if !found.contains(&finding) {
                found.push(finding);
            }
        });
    }
    found
}

fn measure(files: &[SchemaFile], replies: &[UpstreamReply]) -> Vec<Finding> {
    let schemas = Schemas::overlaid(files).unwrap();
    findings(schemas.replies(), replies)
}

fn environment(change: impl FnOnce(&mut Value)) -> Value {
    let mut environment = json!({
        "id": "env_1", "type": "environment", "name": "n", "description": null, "metadata": {}, "archived_at": null,
        "created_at": "2026-05-29T10:00:00Z", "updated_at": "2026-05-29T10:00:00Z", "scope": null,
        "config": {
            "type": "cloud", "networking": {"type": "unrestricted"},
            "packages": {"apt": [], "cargo": [], "gem": [], "go": [], "npm": [], "pip": []},
        },
    });
    change(&mut environment);
    environment
}

fn odd_replies() -> Vec<UpstreamReply> {
    let odd = environment(|environment| {
        environment["state"] = json!("running");
        environment["a/b"] = json!([1]);
        environment["usage"] = json!({"hours": 1.5, "since": null});
        environment["owner"] = Value::Null;
        environment["description"] = json!(7);
        environment["created_at"] = json!("yesterday");
        environment["scope"] = json!("galaxy");
        environment["config"]["gpu"] = json!(2);
        environment["config"]["networking"] =
            json!({"type": "limited", "allow_mcp_servers": true, "peers": true});
        environment["config"]["packages"]["conda"] = json!(["numpy"]);
        let packages = environment["config"]["packages"].as_object_mut().unwrap();
        packages.remove("go");
        packages.remove("apt");
    });
    let elsewhere = environment(|environment| {
        environment["config"]["networking"]["type"] = json!("package_managers_and_custom");
        environment["type"] = json!("workspace");
        environment.as_object_mut().unwrap().remove("archived_at");
    });
    let error = json!({"type": "error", "error": {"type": "quota_error", "message": "no", "code": 4}});
    let page = json!({"data": [odd, elsewhere], "next_page": null, "total": 2});
    vec![
        reply(Operation::Retrieve, StatusCode::OK, &odd),
        reply(Operation::Update, StatusCode::OK, &elsewhere),
        reply(Operation::List, StatusCode::OK, &page),
        reply(Operation::Create, StatusCode::BAD_REQUEST, &error),
        reply(
            Operation::Delete,
            StatusCode::OK,
            &json!({"id": "env_1", "type": "gone"}),
        ),
    ]
}

#[test]
fn with_the_patches_laid_over_the_same_replies_have_no_finding() {
    let replies = odd_replies();
    let found = measure(&[], &replies);
    assert!(found.len() > 20, "{found:?}");
    let patches = SchemaPatches::of(&found, &[]).unwrap();
    assert_eq!(patches.left, [""; 0]);
    let names: Vec<_> = patches.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        names,
        [
            "anthropic/environment.reply.patch.json",
            "anthropic/list.reply.patch.json",
            "anthropic/deleted.reply.patch.json",
            "anthropic/error.reply.patch.json",
        ]
    );
    assert_eq!(measure(&patches.files, &replies), []);
    let again = SchemaPatches::of(&found, &patches.files).unwrap();
    assert_eq!(again.files, [], "all of it is there");
}

#[test]
fn the_same_findings_give_the_same_patch_in_whatever_order_they_come() {
    let mut found = measure(&[], &odd_replies());
    let patches = SchemaPatches::of(&found, &[]).unwrap();
    found.reverse();
    assert_eq!(SchemaPatches::of(&found, &[]).unwrap(), patches);
}

#[test]
fn a_patch_says_what_was_seen_and_nothing_else() {
    let replies = [reply(
        Operation::Update,
        StatusCode::OK,
        &environment(|environment| {
            environment["state"] = json!("secret-state");
            environment["config"]["packages"]
                .as_object_mut()
                .unwrap()
                .remove("go");
            environment["config"]["networking"]["type"] = json!("peered");
        }),
    )];
    let patches = SchemaPatches::of(&measure(&[], &replies), &[]).unwrap();
    let text = String::from_utf8(patches.files[0].content.clone()).unwrap();
    assert_eq!(
        text,
        "[\n  {\"op\":\"add\",\"path\":\"/$defs/networking/properties/type/enum/-\",\"value\":\"peered\"},\n  \
         {\"op\":\"test\",\"path\":\"/$defs/packages/required/3\",\"value\":\"go\"},\n  \
         {\"op\":\"remove\",\"path\":\"/$defs/packages/required/3\"},\n  \
         {\"op\":\"add\",\"path\":\"/properties/state\",\"value\":{\"type\":\"string\"}}\n]\n"
    );
}

#[test]
fn what_is_laid_over_already_stays_and_a_whole_document_stays_one() {
    let replies = odd_replies();
    let known = SchemaFile {
        path: "anthropic/environment.reply.patch.json".to_owned(),
        content: br#"[{"op": "add", "path": "/properties/known", "value": true}]"#.to_vec(),
    };
    let files = std::slice::from_ref(&known);
    let patches = SchemaPatches::of(&measure(files, &replies), files).unwrap();
    let text = String::from_utf8(patches.files[0].content.clone()).unwrap();
    assert!(
        text.contains("/properties/known") && text.contains("/properties/state"),
        "{text}"
    );
    assert_eq!(measure(&patches.files, &replies), []);

    let documents = Document::built_in().unwrap();
    let whole = documents
        .iter()
        .find(|document| document.path == "anthropic/environment.reply.json");
    let whole = SchemaFile {
        path: "anthropic/environment.reply.json".to_owned(),
        content: whole.unwrap().value.to_string().into_bytes(),
    };
    let files = std::slice::from_ref(&whole);
    let patches = SchemaPatches::of(&measure(files, &replies), files).unwrap();
    assert_eq!(patches.files[0].path, whole.path);
    assert_eq!(measure(&patches.files, &replies), []);
}

#[test]
fn what_no_schema_can_say_is_left_with_its_reason() {
    let long = environment(|environment| {
        environment["x".repeat(100)] = json!(1);
        environment["\u{202e}odd"] = json!(1);
        environment["scope"] = json!({"a": 1});
    });
    let found = measure(
        &[],
        &[
            reply(Operation::Retrieve, StatusCode::OK, &long),
            reply(Operation::Retrieve, StatusCode::OK, &json!("no object")),
        ],
    );
    let mut found = found;
    found.push(Finding::remainder(Operation::Update, ReplyDocument::Environment));
    let patches = SchemaPatches::of(&found, &[]).unwrap();
    assert_eq!(patches.left.len(), 4, "{patches:?}");
    assert!(
        patches
            .left
            .iter()
            .any(|left| left
                .ends_with("there is more than can be kept apart: no schema of replies can say that")),
        "{patches:?}"
    );
}

#[test]
fn findings_of_schemas_that_are_others_by_now_break_nothing() {
    for pointer in [
        "",
        "/",
        "/nowhere",
        "/*/x",
        "/config/*",
        "/name/x",
        "relative",
        "/config/~2",
    ] {
        for kind in FindingKind::ALL {
            let finding = Finding {
                operation: Operation::Update,
                document: ReplyDocument::Environment,
                kind,
                pointer: pointer.to_owned(),
                detail: Some("null".to_owned()),
                example: None,
            };
            let patches = SchemaPatches::of([&finding], &[]).unwrap();
            assert!(Schemas::overlaid(&patches.files).is_ok(), "{pointer} {kind:?}");
        }
    }
}
