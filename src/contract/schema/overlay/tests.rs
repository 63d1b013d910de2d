use serde_json::{Value, json};

use super::*;
use crate::contract::{Dialect, Operation, Schemas, Strictness};

fn file(path: &str, content: impl ToString) -> SchemaFile {
    SchemaFile {
        path: path.to_owned(),
        content: content.to_string().into_bytes(),
    }
}

fn patch(operations: Value) -> Vec<SchemaFile> {
    vec![file("environment.patch.json", operations)]
}

fn add(path: &str, value: Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

#[track_caller]
fn faults(files: &[SchemaFile]) -> Vec<String> {
    let faults = Schemas::overlaid(files).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

/// The one fault of a patch of `environment.json`, without what every such fault begins with.
#[track_caller]
fn only_fault(operations: Value) -> String {
    let mut faults = faults(&patch(operations));
    assert_eq!(faults.len(), 1, "{faults:?}");
    let fault = faults.remove(0);
    let fault = fault.strip_prefix("environment.json (with environment.patch.json)#");
    fault.unwrap_or_default().to_owned()
}

fn document(path: &str) -> Value {
    let (_, text) = DOCUMENTS.into_iter().find(|(known, _)| *known == path).unwrap();
    serde_json::from_str(text).unwrap()
}

fn update(schemas: &Schemas, body: &Value) -> Result<(), Vec<String>> {
    let checked = Dialect::SANDBASE.validate_by(schemas, Operation::Update, body, Strictness::default());
    let messages = |told: Vec<crate::contract::Violation>| told.into_iter().map(|one| one.message).collect();
    checked.map(drop).map_err(|violations| messages(violations.told))
}

#[test]
fn a_patch_adds_a_field_and_a_value_and_all_else_stays() {
    let schemas = Schemas::overlaid(&patch(json!([
        add(
            "/$defs/cloud/properties/gpu",
            json!({"type": ["integer", "null"], "title": "GPUs"})
        ),
        add("/$defs/networking/properties/type/enum/-", json!("peered")),
    ])))
    .unwrap();
    assert!(!schemas.is_built_in());
    let cloud = |gpu: Value| json!({"config": {"type": "cloud", "gpu": gpu, "networking": {"type": "peered", "a": 1}}});
    for fine in [json!(1), json!(2.0), json!(null), json!(1e300)] {
        assert_eq!(update(&schemas, &cloud(fine)), Ok(()));
    }
    assert_eq!(
        update(&schemas, &cloud(json!(1.5))),
        Err(vec![
            "config.gpu must be a whole number or null, not a number".to_owned()
        ])
    );
    assert_eq!(
        update(&schemas, &json!({"config": {"type": "cloud", "gpus": 1}})),
        Err(vec!["config.gpus is not a known field".to_owned()])
    );
    assert!(
        update(&Schemas::built_in().unwrap(), &cloud(json!(1))).is_err(),
        "nothing leaks"
    );
}

#[test]
fn a_whole_document_takes_the_place_of_one() {
    let mut whole = document("sandbase/update.json");
    whole["properties"]["state"] = json!({"type": "string", "enum": ["on", "off"]});
    let schemas = Schemas::overlaid(&[file("sandbase/update.json", whole)]).unwrap();
    assert_eq!(update(&schemas, &json!({"state": "on"})), Ok(()));
    assert!(update(&schemas, &json!({"state": "of"})).is_err());
}

#[test]
fn nothing_laid_over_is_as_it_ships() {
    assert!(Schemas::overlaid(&[]).unwrap().is_built_in());
}

#[test]
fn every_fault_of_every_file_is_told_with_its_place() {
    let told = faults(&[
        file("anthropic/create.patch.json", "{}"),
        file("anthropic/update.patch.json", r#"[{"op": "ad"}]"#),
        file("enviroment.json", "{}"),
        file(
            "environment.patch.json",
            json!([add("/$defs/cloud/oneOf", json!([]))]),
        ),
        file("sandbase/create.json", "{\"a\": 1,\n \"a\": 2}"),
        file("sandbase/create.patch.json", "[]"),
        file("sandbase/update.patch.json", "[{"),
    ]);
    assert_eq!(
        told,
        [
            "anthropic/create.patch.json: a patch is a list of operations (RFC 6902)",
            "anthropic/update.patch.json#/0: is no operation of RFC 6902: {\"op\": \"add\", \"path\": \"/…\", \
             \"value\": …} and its like",
            "enviroment.json: there is no schema of this name; did you mean \"environment.json\"?",
            "sandbase/create.json: \"a\" stands twice in one object (line 2, column 2)",
            "sandbase/create.patch.json: sandbase/create.json is there too: one replaces the document, the other \
             changes it",
            "sandbase/update.patch.json: is not JSON (line 1, column 3)",
            "environment.json (with environment.patch.json)#/$defs/cloud/oneOf: this keyword cannot be \
             explained to whoever breaks it: tell alternatives apart by an enum of a member, and allOf with if and \
             then for each",
        ]
    );
    assert_eq!(
        faults(&[file("environment.json", "  ")])[0],
        "environment.json: is empty"
    );
}

#[test]
fn an_operation_that_cannot_be_done_is_pointed_at() {
    for (operation, problem) in [
        (
            json!({"op": "remove", "path": "/nowhere"}),
            "its \"path\" leads nowhere",
        ),
        (
            json!({"op": "copy", "from": "/nowhere", "path": "/a"}),
            "its \"from\" leads nowhere",
        ),
        (
            json!({"op": "test", "path": "/title", "value": "another"}),
            "the value there is another than the patch was made for",
        ),
    ] {
        let fine = json!({"op": "test", "path": "/$defs/name/minLength", "value": 1});
        let told = faults(&patch(json!([fine, operation])));
        assert_eq!(told, [format!("environment.patch.json#/1: {problem}")]);
    }
}

#[test]
fn no_reference_leaves_the_schemas() {
    let leaves = |target: &str| only_fault(json!([add("/$defs/scope", json!({"$ref": target}))]));
    for target in [
        "https://example.com/a.json",
        "http://127.0.0.1:1/a.json",
        "https://envgate.invalid/schemas/environment.json",
        "file:///etc/passwd",
        "//example.com/a.json",
        "/schemas/environment.json",
        "../environment.json",
        "../../etc/passwd",
        "sandbase/../../x.json",
        "sandbase/%2e%2e/%2e%2e/x.json",
        "another.json#/$defs/name",
        "urn:x:y",
        "a\\b",
    ] {
        let told = leaves(target);
        assert!(
            told.starts_with("/$defs/scope/$ref: leads out of the schemas"),
            "{target}: {told}"
        );
        assert!(!told.contains("example.com"), "a URL may hold a password");
    }
    for nowhere in [
        "#/$defs/nobody",
        "#/title",
        "#/$defs",
        "sandbase/create.json#/properties",
        "#name",
    ] {
        assert!(
            leaves(nowhere).starts_with("/$defs/scope/$ref: leads nowhere"),
            "{nowhere}"
        );
    }
    for fine in ["#/$defs/description", "environment.json#/$defs/name"] {
        let to = json!({"$ref": fine, "title": "t", "description": "d"});
        assert!(
            Schemas::overlaid(&patch(json!([add("/$defs/scope", to)]))).is_ok(),
            "{fine}"
        );
    }
    assert!(
        leaves("#/$defs/scope").is_empty(),
        "a circle is told of the whole"
    );
    let round = faults(&patch(json!([add(
        "/$defs/scope",
        json!({"$ref": "#/$defs/scope"})
    )])));
    assert!(
        round[0].ends_with("its references go round in a circle"),
        "{round:?}"
    );
}

#[test]
fn what_cannot_be_explained_is_refused_and_not_ignored() {
    for (keyword, value, problem) in [
        ("anyOf", json!([true]), "tell alternatives apart"),
        ("not", json!({}), "tell alternatives apart"),
        ("const", json!(1), "write an enum of one value"),
        ("$dynamicRef", json!("#a"), "write a $ref with a pointer"),
        ("$anchor", json!("a"), "write a $ref with a pointer"),
        (
            "$schema",
            json!("http://json-schema.org/draft-07/schema#"),
            "at the top of a document alone",
        ),
        (
            "$id",
            json!("https://example.com/"),
            "at the top of a document alone",
        ),
        ("$defs", json!({}), "at the top of a document alone"),
        (
            "minimum",
            json!(1),
            "\"minimum\" is no keyword that can be explained",
        ),
        (
            "format",
            json!("uri"),
            "\"format\" is no keyword that can be explained",
        ),
        ("propertees", json!({}), "did you mean \"properties\"?"),
        ("type", json!("int"), "the name of a type"),
        ("enum", json!([]), "a list of values"),
        ("enum", json!("a"), "a list of values"),
        ("minLength", json!(-1), "a whole number"),
        ("pattern", json!("(?=a)"), "in linear time"),
        ("pattern", json!("(?:(?:a{1000}){1000}){1000}"), "in linear time"),
        ("items", json!(false), "a schema is an object, or true"),
        ("items", json!([]), "a schema is an object, or true"),
        ("properties", json!([]), "a map of names and schemas"),
        ("properties", json!({"a": 1}), "a schema is an object, or true"),
        (
            "additionalProperties",
            json!("a"),
            "a schema is an object, or true",
        ),
        ("required", json!([1]), "a list of names"),
        ("allOf", json!({}), "has to be a list"),
        ("allOf", json!([{"$ref": "#/$defs/name"}]), "\"then\": …}"),
        ("x-rule", json!("no_rule"), "host_format"),
        ("x-private", json!("yes"), "true or false"),
        ("x-hints", json!({"a": 1}), "names and hints"),
        ("title", json!(1), "a string"),
    ] {
        let told = only_fault(json!([add("/$defs/scope", json!({ keyword: value }))]));
        assert!(
            told.starts_with(&format!("/$defs/scope/{}", keyword.replace('/', "~1"))),
            "{keyword}: {told}"
        );
        assert!(told.contains(problem), "{keyword}: {told}");
    }
    let beside = only_fault(json!([add(
        "/$defs/scope",
        json!({"$ref": "#/$defs/name", "maxLength": 3})
    )]));
    assert!(
        beside.starts_with("/$defs/scope/maxLength: stands beside $ref"),
        "{beside}"
    );
}

#[test]
fn a_document_keeps_its_name_and_its_draft() {
    for (path, value, problem) in [
        (
            "/$id",
            json!("https://envgate.invalid/schemas/other.json"),
            ": its $id has to be https://envgate.invalid/",
        ),
        (
            "/$schema",
            json!("http://json-schema.org/draft-07/schema#"),
            "/$schema: has to be https://json-schema.org/draft/2020-12/schema",
        ),
    ] {
        let told = faults(&patch(json!([add(path, value)])));
        assert!(told[0].contains(problem), "{told:?}");
    }
    let no_object = faults(&[file("sandbase/update.json", "[]")]);
    assert_eq!(
        no_object[0],
        "sandbase/update.json: a schema is an object, or true where anything goes"
    );
}

#[test]
fn what_nothing_relaxes_stays_whatever_is_laid_over() {
    let body =
        |path: &str, value: Value| faults(&[file("sandbase/update.patch.json", json!([add(path, value)]))]);
    assert_eq!(
        body("/type", json!(["object", "null"])),
        ["sandbase/update.json#/type: has to be \"object\", whatever is laid over the schemas"]
    );
    for loose in [
        json!(true),
        json!({"type": ["object", "null"], "x-private": true}),
        json!({"x-private": true}),
    ] {
        let told = body("/properties/metadata", loose);
        assert!(
            told[0].contains("#/properties/metadata: has to be there, with the type"),
            "{told:?}"
        );
    }
    let told = body("/properties/metadata", json!({"type": "object"}));
    assert!(told[0].contains("its values are never repeated"), "{told:?}");
    let case = json!([{
        "if": {"properties": {"name": {"enum": ["a"]}}, "required": ["name"]},
        "then": {"properties": {"metadata": {"additionalProperties": {"enum": ["b"]}}}},
    }]);
    let told = body("/allOf", case);
    assert!(told[0].contains("its values are never repeated"), "{told:?}");
}

#[test]
fn a_small_file_makes_no_large_schema() {
    // Each definition leads to the next one ten times.
    let mut operations: Vec<_> = (0..12)
        .map(|level| {
            let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
            let properties: serde_json::Map<_, _> =
                (0..10).map(|name| (name.to_string(), next.clone())).collect();
            add(&format!("/$defs/l{level}"), json!({ "properties": properties }))
        })
        .collect();
    operations.push(add("/$defs/l12", json!(true)));
    operations.push(add("/$defs/scope", json!({"$ref": "#/$defs/l0"})));
    let told = faults(&patch(Value::Array(operations)));
    assert!(told[0].contains("unfold to more than 20000 schemas"), "{told:?}");

    let mut operations = vec![add("/$defs/scope", json!([]))];
    operations.extend(vec![
        json!({"op": "copy", "from": "", "path": "/$defs/scope/-"});
        40
    ]);
    let told = faults(&patch(Value::Array(operations)));
    assert!(told[0].contains("makes a document"), "{told:?}");
    let told = faults(&patch(json!(vec![add("/title", json!("t")); 1001])));
    assert!(told[0].contains("more than 1000 operations"), "{told:?}");
}

#[test]
fn as_many_faults_are_told_as_anybody_reads() {
    let operations: Vec<_> = (0..80)
        .map(|index| add(&format!("/$defs/d{index}"), json!({"const": 1})))
        .collect();
    let told = faults(&patch(Value::Array(operations)));
    assert_eq!(told.len(), 50);
    assert!(told[49].ends_with("(and 30 more faults)"), "{}", told[49]);
}
