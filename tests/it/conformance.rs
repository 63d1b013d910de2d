//! HTTP as the documents of the IETF have it: a module for each of them, a test for each section.

mod fetch;
mod http2;
mod probe;
mod rfc9110;
mod rfc9112;
mod upstream_replies;

use std::collections::BTreeMap;

use probe::Probe;

#[test]
fn of_all_cases_none_hangs_none_reaches_the_upstream_and_nothing_is_left_for_the_next_request() {
    let (mut cases, mut refused) = (0, BTreeMap::new());
    let sections = [
        ("RFC 9110", &rfc9110::SECTIONS[..]),
        ("RFC 9112", &rfc9112::SECTIONS[..]),
    ];
    println!("| document | section | cases | refused |\n|---|---|---|---|");
    for (document, sections) in sections {
        for (section, table) in sections {
            let summary = Probe::start().run(&table());
            cases += summary.cases;
            let count: usize = summary.refused.values().sum();
            println!("| {document} | {section} | {} | {count} |", summary.cases);
            for (status, count) in summary.refused {
                *refused.entry(status).or_insert(0) += count;
            }
        }
    }
    println!("{cases} cases, refused {refused:?}, each sent whole, in pieces and byte by byte");
    assert!(cases >= 130, "{cases}");
}
