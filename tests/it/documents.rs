//! What the documents say of the code.

use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for folder in ["docs", "docs/runbooks"] {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                pages.push(format!("{folder}/{}", entry.file_name().to_str().unwrap()));
            }
        }
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
