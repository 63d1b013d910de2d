//! What stands in `deploy/monitoring`, read as far as tests want it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

pub fn path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The dashboard as Grafana is given it.
pub fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/monitoring/envgate-dashboard.json")).unwrap()
}

/// The panels that show something, without the rows between them.
pub fn panels(dashboard: &Value) -> Vec<Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row").cloned().collect()
}

/// What a panel asks for: each expression and how its series are called.
pub fn queries(panel: &Value) -> Vec<(String, String)> {
    let text = |target: &Value, name: &str| target[name].as_str().unwrap().to_owned();
    let targets = panel["targets"].as_array().unwrap().iter();
    targets
        .map(|target| (text(target, "expr"), text(target, "legendFormat")))
        .collect()
}

/// A rule of Prometheus.
#[derive(Debug, Default)]
pub struct Rule {
    /// What is recorded, or the alert.
    pub name: String,
    pub is_alert: bool,
    pub expression: String,
    pub severity: String,
    pub runbook: String,
}

/// The rules in their file. It is written plainly: a line for each thing, an expression of several lines indented below.
pub fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for line in read("deploy/monitoring/envgate-rules.yaml").lines() {
        let started = ["record", "alert"]
            .into_iter()
            .find_map(|kind| Some((kind, line.strip_prefix(&format!("  - {kind}: "))?)));
        if let Some((kind, name)) = started {
            rules.push(Rule {
                name: name.to_owned(),
                is_alert: kind == "alert",
                ..Rule::default()
            });
        }
        let Some(rule) = rules.last_mut() else { continue };
        if let Some(expression) = line.strip_prefix("    expr: ") {
            rule.expression = expression.trim_start_matches('|').to_owned();
        } else if let Some(severity) = line.strip_prefix("      severity: ") {
            rule.severity = severity.to_owned();
        } else if let Some(url) = line.strip_prefix("      runbook_url: ") {
            rule.runbook = url.to_owned();
        } else if rule.runbook.is_empty() && rule.severity.is_empty() && line.starts_with("      ") {
            rule.expression.push_str(line.trim_start());
            rule.expression.push('\n');
        }
    }
    rules
}

/// What an alert compares, each without the number: all of it has to be there for the alert to be able to fire.
pub fn compared(alert: &Rule) -> Vec<String> {
    let comparison = Regex::new(r"^([a-z0-9_:]+(?:\{.*\})?) [<>] [0-9.]+$").unwrap();
    let parts = alert.expression.trim().split("\nand ");
    let compared = parts.map(|part| {
        let found = comparison.captures(part);
        let found =
            found.unwrap_or_else(|| panic!("{} compares more than a name with a number: {part}", alert.name));
        found[1].to_owned()
    });
    compared.collect()
}

/// The names of metrics in an expression.
pub fn metrics(expression: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(?:(?:[a-z]+:)?envgate[_:][a-z0-9_:]*|process_[a-z_]+|up\b)").unwrap();
    let without_texts = Regex::new(r#""[^"]*""#)
        .unwrap()
        .replace_all(expression, "\"\"")
        .into_owned();
    let names = name.find_iter(&without_texts);
    names.map(|name| name.as_str().to_owned()).collect()
}

/// All that can be asked for: what stands on the page of metrics, what rules record, and what Prometheus says itself.
pub fn known_metrics() -> BTreeSet<String> {
    let mut known = BTreeSet::from(["up".to_owned()]);
    let page = read("docs/metrics.md");
    for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_end_matches('`'));
        let (name, kind) = (cells.next().unwrap(), cells.next().unwrap());
        known.insert(name.to_owned());
        if kind == "histogram" {
            known.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        }
    }
    known.extend(
        rules()
            .into_iter()
            .filter(|rule| !rule.is_alert)
            .map(|rule| rule.name),
    );
    known
}

/// The pages for whom an alert has called, by the alert's name.
pub fn runbooks() -> Vec<(String, String)> {
    let pages = std::fs::read_dir(path("docs/runbooks")).unwrap();
    let mut pages: Vec<_> = pages
        .map(|page| {
            let page = page.unwrap().path();
            let name = page.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(page).unwrap())
        })
        .collect();
    pages.sort();
    pages
}

/// The lines within fences of a language.
pub fn fenced<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let mut within = None;
    let mut lines = Vec::new();
    for line in page.lines() {
        match line.strip_prefix("```") {
            Some(opened) if within.is_none() => within = Some(opened),
            Some(_) => within = None,
            None if within == Some(language) => lines.push(line),
            None => {}
        }
    }
    lines
}
