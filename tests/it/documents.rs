//! What the documents say of the code.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names that the code registers: all literals under `src/telemetry` that look like one.
fn metrics_of_the_code() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/telemetry")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let source = std::fs::read_to_string(path).unwrap();
            let literals = source
                .split('"')
                .filter(|literal| literal.starts_with("envgate_"));
            names.extend(literals.map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_metric_stands_on_its_page_and_nothing_else_does() {
    let page = read("docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: Vec<_> = rows
        .map(|row| row.split('`').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        told.iter().cloned().collect::<BTreeSet<_>>(),
        metrics_of_the_code()
    );
    assert_eq!(told.len(), metrics_of_the_code().len(), "none is there twice");
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap() {
        pages.push(format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()));
    }
    for page in pages {
        let text = read(&page);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(&page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap();
            if !file.is_empty() && !file.contains("://") {
                let target = folder.parent().unwrap().join(file);
                assert!(target.exists(), "{page}: {link}");
            }
        }
    }
}
