//! All that came out, and the search of it.

use std::path::Path;
use std::process::Output;
use std::time::Instant;

use parking_lot::Mutex;

use super::plants::Plants;
use super::searcher::search;
use crate::common::client::Response;
use crate::common::upstream::Seen;

/// One thing that somebody could read.
struct Text {
    name: String,
    bytes: Vec<u8>,
    /// The places whose secrets belong there.
    belongs: Vec<&'static str>,
}

#[derive(Default)]
pub struct Outputs(Mutex<Vec<Text>>);

impl Outputs {
    pub fn add(&self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.add_with(name, bytes, &[]);
    }

    /// The same, where the secrets of some places belong.
    pub fn add_with(&self, name: &str, bytes: impl Into<Vec<u8>>, belongs: &[&'static str]) {
        self.0.lock().push(Text {
            name: name.to_owned(),
            bytes: bytes.into(),
            belongs: belongs.to_vec(),
        });
    }

    pub fn command(&self, name: &str, output: &Output) {
        self.add(&format!("standard output of {name}"), output.stdout.clone());
        self.add(&format!("standard error of {name}"), output.stderr.clone());
    }

    /// Head and body.
    pub fn answer(&self, name: &str, response: &Response) {
        let head: Vec<_> = response
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect();
        self.add(&format!("head of the answer to {name}"), head.concat());
        self.add(&format!("body of the answer to {name}"), response.body.clone());
    }

    /// What the upstream was sent, but for its credential.
    pub fn sent_up(&self, seen: &[Seen], belongs: &[&'static str]) {
        for seen in seen {
            let headers = seen.headers.iter().filter(|(name, _)| name != "x-api-key");
            let headers: Vec<_> = headers
                .map(|(name, value)| format!("{name}: {value}\n"))
                .collect();
            self.add(
                "a head that went up",
                format!("{}{}", seen.line, headers.concat()),
            );
            self.add_with("a body that went up", seen.body.clone(), belongs);
        }
    }

    /// A file, if it is there.
    pub fn file(&self, path: &Path) {
        if let Ok(bytes) = std::fs::read(path) {
            self.add(&path.file_name().unwrap().to_string_lossy(), bytes);
        }
    }

    pub fn command_line(&self, pid: u32) {
        self.file(&std::path::PathBuf::from(format!("/proc/{pid}/cmdline")));
    }

    /// Searches everything for everything.
    #[track_caller]
    pub fn expect_nothing_of(&self, plants: &Plants) {
        let begun = Instant::now();
        let (texts, plants) = (self.0.lock(), plants.all());
        let mut found = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for text in texts.iter() {
            if !seen.insert((&text.bytes, &text.belongs)) {
                continue;
            }
            let foreign: Vec<_> = plants
                .iter()
                .filter(|plant| !text.belongs.contains(&plant.place.as_str()))
                .cloned()
                .collect();
            for place in search(&foreign, &text.bytes) {
                found.push(format!("{}: {place}", text.name));
            }
        }
        let bytes: usize = texts.iter().map(|text| text.bytes.len()).sum();
        println!(
            "planted secrets: {} places, {} outputs searched ({bytes} bytes, {:?}), {} found",
            plants.len(),
            texts.len(),
            begun.elapsed(),
            found.len()
        );
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}
