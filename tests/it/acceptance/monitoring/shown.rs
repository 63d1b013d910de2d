//! What a Prometheus answers to the queries of the dashboard and to those of the rules.

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Value, json};

use crate::monitoring::files::{compared, dashboard, fenced, panels, queries, rules, runbooks};
use envgate_test_servers::prometheus::Prometheus;

/// The result of a question to Prometheus.
pub fn answer(prometheus: &Prometheus, path: &str, parameters: &[(&str, &str)]) -> Value {
    let answer: Value = serde_json::from_str(&prometheus.ask(path, parameters)).unwrap();
    assert_eq!(answer["status"], "success", "{parameters:?}: {answer}");
    match &answer["data"] {
        Value::Object(data) if data.contains_key("result") => data["result"].clone(),
        data => data.clone(),
    }
}

/// What Grafana would show of a span of time.
pub struct Shown<'a> {
    prometheus: &'a Prometheus,
    start: String,
    end: String,
    /// What shows nothing.
    pub empty: RefCell<Vec<String>>,
}

impl<'a> Shown<'a> {
    pub fn new(prometheus: &'a Prometheus, start: f64, end: f64) -> Self {
        Self {
            prometheus,
            start: format!("{start:.1}"),
            end: format!("{end:.1}"),
            empty: RefCell::default(),
        }
    }

    /// The series of an expression, each with its labels and those of its points that are numbers; none is remembered
    /// with who asked.
    fn series(&self, asker: &str, expression: &str) -> Vec<(Value, Vec<(f64, f64)>)> {
        let parameters = [
            ("query", expression),
            ("start", self.start.as_str()),
            ("end", self.end.as_str()),
            ("step", "1"),
        ];
        let result = answer(self.prometheus, "query_range", &parameters);
        let points = |series: &Value| -> Vec<(f64, f64)> {
            let points = series["values"].as_array().unwrap().iter();
            let pairs = points.map(|point| {
                (
                    point[0].as_f64().unwrap(),
                    point[1].as_str().unwrap().parse().unwrap(),
                )
            });
            pairs
                .filter(|(_, value): &(f64, f64)| value.is_finite())
                .collect()
        };
        let series = result.as_array().unwrap().iter();
        let series: Vec<_> = series
            .map(|series| (series["metric"].clone(), points(series)))
            .filter(|(_, points)| !points.is_empty())
            .collect();
        if series.is_empty() {
            self.empty.borrow_mut().push(format!("{asker}: {expression}"));
        }
        series
    }

    /// Every panel, with what it shows.
    pub fn panels(&self) -> Vec<Value> {
        let all = dashboard();
        let rows = all["panels"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|panel| panel["type"] == "row");
        let rows = rows.map(|row| json!({"title": row["title"], "place": row["gridPos"]}));
        let panels = panels(&all).into_iter().map(|panel| {
            let title = panel["title"].as_str().unwrap();
            let mut shown = Vec::new();
            for (query, legend) in queries(&panel) {
                let series = self.series(title, &chosen(&query));
                shown.extend(
                    series
                        .into_iter()
                        .map(|(labels, points)| json!({"name": name(&legend, &labels), "points": points})),
                );
            }
            let defaults = &panel["fieldConfig"]["defaults"];
            json!({
                "title": title,
                "place": panel["gridPos"],
                "kind": panel["type"],
                "unit": defaults["unit"],
                "mappings": defaults["mappings"],
                "series": shown,
            })
        });
        rows.chain(panels).collect()
    }

    /// Panels of times lead from their points to traces.
    pub fn exemplars(&self) {
        let span = [("start", self.start.as_str()), ("end", self.end.as_str())];
        for panel in panels(&dashboard()) {
            let targets = panel["targets"].as_array().unwrap().iter();
            for target in targets.filter(|target| target["exemplar"] == true) {
                let query = chosen(target["expr"].as_str().unwrap());
                let parameters = [&[("query", query.as_str())], &span[..]].concat();
                let series = answer(self.prometheus, "query_exemplars", &parameters);
                let series = series.as_array().unwrap().iter();
                let exemplars: Vec<_> = series
                    .flat_map(|series| series["exemplars"].as_array().unwrap())
                    .collect();
                let title = panel["title"].as_str().unwrap();
                if exemplars.is_empty() {
                    self.empty
                        .borrow_mut()
                        .push(format!("{title}, no exemplars: {query}"));
                }
                for exemplar in exemplars {
                    let trace = exemplar["labels"]["trace_id"].as_str().unwrap_or_default();
                    let is_id = trace.len() == 32 && trace.bytes().all(|byte| byte.is_ascii_hexdigit());
                    assert!(is_id, "{title}: {exemplar}");
                }
            }
        }
    }

    /// Every rule: what is recorded, and what alerts compare. Prometheus itself finds nothing wrong with them.
    pub fn rules(&self) {
        for rule in rules() {
            let asked = if rule.is_alert {
                compared(&rule)
            } else {
                vec![rule.name.clone()]
            };
            for expression in asked {
                self.series(&format!("rule {}", rule.name), &expression);
            }
        }
        let groups = answer(self.prometheus, "rules", &[]);
        let groups = groups["groups"].as_array().unwrap().iter();
        let loaded: Vec<_> = groups
            .flat_map(|group| group["rules"].as_array().unwrap())
            .collect();
        assert_eq!(loaded.len(), rules().len());
        for rule in loaded {
            assert_eq!(rule["health"], "ok", "{rule}");
        }
    }

    /// What the pages for alerts tell to ask can be asked; on a good day there may be nothing.
    pub fn pages(&self) {
        for (_, page) in runbooks() {
            for query in fenced(&page, "promql") {
                answer(self.prometheus, "query", &[("query", query)]);
            }
        }
    }

    /// What happened on the day was alerted.
    pub fn alerts(&self, expected: &[&str]) {
        for alert in expected {
            let query = format!(r#"ALERTS{{alertname="{alert}",alertstate="firing"}}"#);
            self.series("what happened", &query);
        }
    }
}

/// A query with everything chosen, as Grafana sends it.
fn chosen(query: &str) -> String {
    query
        .replace("$job", "envgate")
        .replace("$instance", ".+")
        .replace("$__rate_interval", "5s")
}

/// A series as its legend calls it.
fn name(legend: &str, labels: &Value) -> String {
    let mut name = legend.to_owned();
    let labels: BTreeMap<String, String> = serde_json::from_value(labels.clone()).unwrap();
    for (label, value) in labels {
        name = name.replace(&format!("{{{{{label}}}}}"), &value);
    }
    // Prometheus knows no label that is empty, and Grafana shows none.
    let missing = Regex::new(r" ?\{\{[a-z_]+\}\}").unwrap();
    missing.replace_all(&name, "").into_owned()
}
