//! What the screen shows, as lines of text for so many columns.

use super::text::{fit, printable};
use super::traffic::Traffic;

/// What tenants are listed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Order {
    /// Of the last minute
    Requests,
    /// For their turn
    Waiting,
    /// Of the last minute
    Refused,
}

impl Order {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Waiting => "waiting",
            Self::Refused => "refused",
        }
    }
}

/// What is to be shown.
pub(super) struct View<'v> {
    /// Where the gateway is.
    pub(super) place: &'v str,
    /// What it told last; none where it has told nothing yet.
    pub(super) traffic: Option<&'v Traffic>,
    /// Why it has told nothing since.
    pub(super) problem: Option<&'v str>,
    pub(super) order: Order,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    Bold,
    Reverse,
}

/// A line that takes the whole width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) look: Look,
}

/// A column: its heading, how wide it is, and whether numbers stand in it. Where there is no width, it has what the
/// others leave.
type Column = (&'static str, Option<usize>, bool);

const TENANT_COLUMNS: [Column; 6] = [
    ("TENANT", None, false),
    ("REQ/S", Some(8), true),
    ("WAITING", Some(8), true),
    ("REFUSED/S", Some(10), true),
    ("FAILED", Some(8), true),
    ("REQUESTS", Some(10), true),
];
const BUDGET_COLUMNS: [Column; 5] = [
    ("BUDGET", Some(14), false),
    ("IN FLIGHT", Some(10), true),
    ("WAITING", Some(8), true),
    ("REFUSED", Some(8), true),
    ("  LEFT", None, false),
];
const SLOW_COLUMNS: [Column; 6] = [
    ("SLOWEST", Some(12), false),
    ("MS", Some(10), true),
    ("  MOST IN", Some(10), false),
    ("TENANT", None, false),
    ("STATUS", Some(7), true),
    ("  REQUEST", Some(34), false),
];
/// The least that a column without a width of its own has.
const LEAST_COLUMNS: usize = 8;
const KEYS: &str = "q quit   order by: r requests  w waiting  x refused";

/// The lines of a screen of this size: exactly `height`, each of exactly `width` columns.
pub(super) fn lines(view: &View<'_>, width: usize, height: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |text: &str, look| {
        let text = fit(text, width, false);
        lines.push(Line { text, look });
    };
    add(&headline(view), Look::Bold);
    if let Some(problem) = view.problem {
        add(&printable(problem), Look::Reverse);
    }
    let Some(traffic) = view.traffic else {
        if view.problem.is_none() {
            add("asking the gateway ...", Look::Plain);
        }
        lines.resize(height, blank(width));
        return lines;
    };
    if height >= 8 && !traffic.refusals.is_empty() {
        add(&refusals(traffic), Look::Plain);
    }
    let has_keys = height >= 12;
    let left = height.saturating_sub(lines.len() + usize::from(has_keys));
    // Tenants have what budgets and slow requests leave them: half of it at least.
    let most_of_budgets = (left / 4).min(traffic.budgets.len() + 1);
    let most_of_slow = (left / 4).min(traffic.slowest.len() + 1);
    let [mut budgets, mut slow] = [budget_lines(traffic, width), slow_lines(traffic, width)];
    for (table, most) in [(&mut budgets, most_of_budgets), (&mut slow, most_of_slow)] {
        // A heading alone says nothing.
        table.truncate(if most < 2 { 0 } else { most });
    }
    let most_of_tenants = left.saturating_sub(budgets.len() + slow.len());
    let mut tenants = tenant_lines(traffic, width);
    tenants.truncate(most_of_tenants);
    tenants.resize(most_of_tenants, blank(width));
    lines.extend(budgets.into_iter().chain(tenants).chain(slow));
    if has_keys {
        let text = fit(KEYS, width, false);
        lines.push(Line {
            text,
            look: Look::Plain,
        });
    }
    lines.truncate(height);
    lines
}

fn blank(width: usize) -> Line {
    Line {
        text: " ".repeat(width),
        look: Look::Plain,
    }
}

fn headline(view: &View<'_>) -> String {
    let place = printable(view.place);
    let Some(traffic) = view.traffic else {
        return format!("envgate {place}");
    };
    let requests = &traffic.requests;
    let clock = traffic.at.get("2026-01-01T".len().."2026-01-01T00:00:00".len());
    format!(
        "envgate {place}  {:.1}/s (60s: {:.1})  {} in flight  {} tenants by {}  {} UTC",
        requests.per_second_10s,
        requests.per_second_60s,
        requests.in_flight,
        traffic.tenants_seen,
        view.order.name(),
        printable(clock.unwrap_or_default()),
    )
}

fn refusals(traffic: &Traffic) -> String {
    let refusal = |refusal: &super::traffic::Refusal| {
        format!(
            "{} {:.1}/s ({})",
            printable(&refusal.error),
            refusal.per_second_60s,
            refusal.total
        )
    };
    let told: Vec<_> = traffic.refusals.iter().take(8).map(refusal).collect();
    format!("refused: {}", told.join(", "))
}

fn tenant_lines(traffic: &Traffic, width: usize) -> Vec<Line> {
    let rows = traffic.tenants.iter().map(|tenant| {
        [
            printable(&tenant.tenant),
            format!("{:.1}", tenant.per_second_10s),
            tenant.waiting.to_string(),
            format!("{:.1}", tenant.refused_per_second_60s),
            tenant.failed.to_string(),
            tenant.requests.to_string(),
        ]
    });
    table(TENANT_COLUMNS, rows, width)
}

fn budget_lines(traffic: &Traffic, width: usize) -> Vec<Line> {
    let rows = traffic.budgets.iter().map(|budget| {
        [
            printable(&budget.budget),
            budget.in_flight.to_string(),
            budget.queued.to_string(),
            budget.refused.to_string(),
            format!("  {}", printable(&budget.limits_in_words())),
        ]
    });
    table(BUDGET_COLUMNS, rows, width)
}

fn slow_lines(traffic: &Traffic, width: usize) -> Vec<Line> {
    let rows = traffic.slowest.iter().map(|slow| {
        let or_dash = |text: Option<&str>| printable(text.unwrap_or("-"));
        [
            or_dash(slow.operation.as_deref()),
            format!("{:.1}", slow.duration_ms),
            format!("  {}", printable(slow.longest_step())),
            or_dash(slow.tenant.as_deref()),
            slow.status.to_string(),
            format!("  {}", printable(&slow.request_id)),
        ]
    });
    table(SLOW_COLUMNS, rows, width)
}

/// A heading and rows, with as many of the columns, from the left, as there is room for.
fn table<const COLUMNS: usize>(
    columns: [Column; COLUMNS],
    rows: impl Iterator<Item = [String; COLUMNS]>,
    width: usize,
) -> Vec<Line> {
    let mut taken = 0;
    let shown = columns.iter().take_while(|(_, columns, _)| {
        taken += columns.unwrap_or(LEAST_COLUMNS);
        taken <= width
    });
    let shown: Vec<_> = shown.collect();
    let fixed: usize = shown.iter().filter_map(|(_, columns, _)| *columns).sum();
    let rest = width.saturating_sub(fixed);
    let line = |cells: &[String; COLUMNS], look| {
        let cells = cells.iter().zip(&shown);
        let text: String = cells
            .map(|(cell, (_, columns, is_number))| fit(cell, columns.unwrap_or(rest), *is_number))
            .collect();
        Line {
            text: fit(&text, width, false),
            look,
        }
    };
    let heading = line(&columns.map(|(heading, ..)| heading.to_owned()), Look::Reverse);
    let rows = rows.map(|cells| line(&cells, Look::Plain));
    [heading].into_iter().chain(rows).collect()
}

#[cfg(test)]
mod tests;
