//! The targets of `fuzz/`, with their seeds and with thousands of random inputs: what libFuzzer does for hours with a
//! nightly compiler, in a moment and with any.

use std::path::Path;

use envgate_fuzz_targets::{TARGETS, check};

/// How many random inputs a target gets; a failure tells the seed that makes it again.
const ITERATIONS: usize = 6000;
/// Enough for an environment with all that it can have.
const MAX_BYTES: usize = 400;

fn run(name: &'static str) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(name);
    let mut count = 0;
    for seed in std::fs::read_dir(seeds).unwrap() {
        check(name, &std::fs::read(seed.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count > 0, "{name} has no seeds");
    bolero::check!(name = name)
        .with_iterations(ITERATIONS)
        .with_max_len(MAX_BYTES)
        .for_each(|bytes: &[u8]| check(name, bytes));
}

#[test]
fn a_cursor_is_opened_only_as_it_was_sealed() {
    run("cursor");
}

#[test]
fn a_document_is_read_as_serde_json_reads_it_or_refused_for_a_reason() {
    run("document");
}

#[test]
fn what_is_handed_on_of_a_connection_is_one_request_after_the_other() {
    run("framing");
}

#[test]
fn any_method_and_target_are_an_operation_or_an_error() {
    run("head");
}

#[test]
fn a_header_goes_up_with_the_operators_credential_and_nothing_that_is_not_on_the_list() {
    run("header");
}

#[test]
fn an_update_does_what_a_naive_model_does() {
    run("merge");
}

#[test]
fn a_reply_loses_its_stamp_and_nothing_else() {
    run("reply");
}

#[test]
fn settings_are_read_or_their_faults_are_told() {
    run("settings");
}

#[test]
fn a_body_is_the_same_with_the_stamp_but_for_the_stamp() {
    run("stamp");
}

#[test]
fn every_target_is_one_of_libfuzzers_too() {
    for (name, _) in TARGETS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/fuzz_targets/{name}.rs"));
        let source =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(source.contains(&format!("check(\"{name}\"")), "{name}");
    }
}
