//! The dashboard, the rules and the runbooks agree with each other and with the gateway. That they show something where
//! a Prometheus scrapes one is in `acceptance/monitoring.rs`.

pub mod files;

use std::collections::BTreeSet;

use serde_json::Value;

use self::files::{
    compared, dashboard, fenced, known_metrics, metrics, panels, queries, read, rules, runbooks,
};
use crate::common::envgate::Setup;

const COLUMNS: u64 = 24;
const DATA_SOURCE: &str = "${datasource}";

fn title(panel: &Value) -> &str {
    panel["title"].as_str().unwrap()
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_what_to_do() {
    let dashboard = dashboard();
    for panel in panels(&dashboard) {
        let title = title(&panel);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert!(
            !title.is_empty() && text(&panel["description"]).len() > 20,
            "{title}"
        );
        assert!(
            !text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(),
            "{title} has a unit"
        );
        assert_eq!(panel["datasource"]["uid"], DATA_SOURCE, "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], DATA_SOURCE, "{title}");
        }
        if panel["type"] == "stat" {
            let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array();
            assert!(!steps.unwrap().is_empty(), "{title} says what is good");
        }
        let queries = queries(&panel);
        assert!(!queries.is_empty(), "{title} shows something");
        for (expression, _) in queries {
            for metric in metrics(&expression) {
                let chosen = format!(r#"{metric}{{job=~"$job",instance=~"$instance""#);
                assert!(
                    expression.contains(&chosen),
                    "{title} shows what was chosen: {expression}"
                );
            }
        }
    }
}

#[test]
fn the_dashboard_can_be_imported_into_any_grafana() {
    let dashboard = dashboard();
    assert!(dashboard["id"].is_null() && dashboard["uid"] == "envgate");
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let names: Vec<_> = variables
        .map(|variable| variable["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["datasource", "job", "instance"]);

    let all = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = all.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), all.len(), "every id is there once");
    let titles: BTreeSet<_> = all.iter().map(title).collect();
    assert_eq!(titles.len(), all.len(), "every title is there once");

    let mut taken = BTreeSet::new();
    for panel in all {
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        let (x, y, width, height) = (side("x"), side("y"), side("w"), side("h"));
        assert!(
            width > 0 && height > 0 && x + width <= COLUMNS,
            "{}",
            title(panel)
        );
        for cell in (y..y + height).flat_map(|row| (x..x + width).map(move |column| (row, column))) {
            assert!(taken.insert(cell), "{} covers another", title(panel));
        }
    }
}

#[test]
fn panels_of_times_lead_to_traces() {
    let dashboard = dashboard();
    for metric in ["request", "overhead", "upstream"] {
        let bucket = format!("envgate_{metric}_duration_seconds_bucket");
        let is_linked = |panel: &Value| {
            let targets = panel["targets"].as_array().unwrap().iter();
            let mut linked = targets.filter(|target| target["exemplar"] == true);
            linked.any(|target| target["expr"].as_str().unwrap().contains(&bucket))
        };
        assert!(
            panels(&dashboard).iter().any(is_linked),
            "{bucket} shows exemplars"
        );
    }
}

#[test]
fn every_metric_that_is_asked_for_is_there() {
    let known = known_metrics();
    let dashboard = dashboard();
    let of_panels = panels(&dashboard).into_iter().flat_map(|panel| {
        let name = title(&panel).to_owned();
        queries(&panel)
            .into_iter()
            .map(move |(query, _)| (name.clone(), query))
    });
    let of_rules = rules().into_iter().map(|rule| (rule.name, rule.expression));
    let of_pages = runbooks()
        .into_iter()
        .map(|(name, page)| (name, fenced(&page, "promql").join("\n")));
    for (asker, expression) in of_panels.chain(of_rules).chain(of_pages) {
        for metric in metrics(&expression) {
            assert!(known.contains(&metric), "{asker} asks for {metric}");
        }
    }
}

/// So that what an alert looks at can be looked at, and is known to be there.
#[test]
fn every_alert_compares_what_is_recorded_or_comes_as_it_is_with_a_number() {
    for alert in rules().iter().filter(|rule| rule.is_alert) {
        assert!(!compared(alert).is_empty(), "{}", alert.name);
        assert!(
            ["page", "ticket"].contains(&alert.severity.as_str()),
            "{}",
            alert.name
        );
    }
}

#[test]
fn every_alert_has_its_page_and_every_page_its_alert() {
    let alerts: Vec<_> = rules().into_iter().filter(|rule| rule.is_alert).collect();
    for alert in &alerts {
        let end = format!("/runbooks/{}.md", alert.name);
        assert!(alert.runbook.ends_with(&end), "{}: {}", alert.name, alert.runbook);
    }
    let pages = runbooks();
    let names: BTreeSet<_> = alerts.iter().map(|alert| alert.name.as_str()).collect();
    assert_eq!(names, pages.iter().map(|(name, _)| name.as_str()).collect());
    let wanted = ["What tenants notice", "Look", "Do", "How it ends"];
    for (name, page) in pages {
        assert!(page.starts_with(&format!("# {name}\n")), "{name}");
        let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(headings, wanted, "{name}");
    }
}

#[test]
fn every_command_of_the_pages_is_one() {
    let setup = Setup::new();
    let mut count = 0;
    for (name, page) in runbooks() {
        let blocks = fenced(&page, "sh");
        for line in blocks.iter().filter_map(|line| line.strip_prefix("envgate ")) {
            let words: Vec<_> = line.split_whitespace().collect();
            let (options, mut command): (Vec<_>, Vec<_>) =
                words.iter().partition(|word| word.starts_with("--"));
            // What follows an option is its value.
            command.retain(|word| {
                let before = words.iter().take_while(|known| *known != word).last();
                !before.is_some_and(|before| before.starts_with("--"))
            });
            let help = setup.run_well(&[command.as_slice(), &["--help"]].concat());
            for option in options {
                assert!(help.contains(option), "{name}: {line}: there is no {option}");
            }
            count += 1;
        }
    }
    assert!(count > 20, "there are commands: {count}");
}

#[test]
fn every_alert_is_tried_where_it_fires() {
    let tests = read("deploy/monitoring/envgate-rules.test.yaml");
    for alert in rules().iter().filter(|rule| rule.is_alert) {
        let (name, severity) = (&alert.name, &alert.severity);
        let fires = format!(r#"'{{alertname="{name}",severity="{severity}"}}'"#);
        assert!(tests.contains(&fires), "{name} with {severity} never fires");
        let named = tests
            .lines()
            .filter(|line| line.starts_with("- name: ") && line.contains(name.as_str()));
        assert!(named.count() > 0, "no case is about {name}");
    }
}

#[test]
fn the_package_has_all_of_it() {
    let manifest = read("Cargo.toml");
    for files in ["deploy/monitoring/*", "docs/runbooks/*.md", "docs/*.svg"] {
        assert!(manifest.contains(&format!("[\"{files}\", ")), "{files}");
    }
}
