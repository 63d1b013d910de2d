//! `envgate top`: what a running gateway does, as it says itself.

mod screen;
mod terminal;
mod text;
mod traffic;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

use self::screen::{Order, View};
use self::terminal::Terminal;
use self::text::printable;
use self::traffic::Traffic;
use super::admin_client::{AdminClient, AdminError};
use super::output::{CommandError, format_table, print};
use crate::config;
use crate::text::expect_duration;

/// How long the gateway may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const LEAST_INTERVAL: Duration = Duration::from_millis(200);
/// As many tenants as the highest screen shows.
const MOST_TENANTS: usize = 200;

#[derive(Args)]
pub(super) struct Options {
    /// Print tables once and end; exit 1 where the gateway cannot be asked
    #[arg(long)]
    once: bool,
    /// The same as one JSON object, as GET /api/v1/traffic tells it
    #[arg(long)]
    json: bool,
    /// How often to ask
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = interval)]
    interval: Duration,
    /// What tenants are listed by
    #[arg(long, value_enum, default_value = "requests")]
    order: Order,
    /// Where the gateway's admin API is, such as http://127.0.0.1:9090; left out, at admin.address. Its token
    /// is read from the settings, or from ENVGATE_ADMIN__TOKEN
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = expect_duration(text)?;
    match interval >= LEAST_INTERVAL {
        true => Ok(interval),
        false => Err("expected 200ms or more".to_owned()),
    }
}

#[tokio::main(flavor = "current_thread")]
pub(super) async fn run(config: Option<&Path>, options: Options) -> Result<ExitCode, CommandError> {
    let settings = config::from_process(config)?;
    let gateway = RunningGateway {
        client: AdminClient::new(&settings.admin, options.admin.as_deref())?,
    };
    if options.json {
        print(&gateway.traffic(options.order).await?.to_string())?;
    } else if options.once {
        print(&tables(&read(gateway.traffic(options.order).await?)))?;
    } else if let Some(reason) = terminal::unfit() {
        return Err(CommandError::Terminal(reason));
    } else {
        watch(&gateway, options.interval, options.order).await?;
    }
    Ok(ExitCode::SUCCESS)
}

struct RunningGateway {
    client: AdminClient,
}

impl RunningGateway {
    async fn traffic(&self, order: Order) -> Result<Value, AdminError> {
        let path = format!("/api/v1/traffic?limit={MOST_TENANTS}&order={}", order.name());
        let asked = timeout(ANSWER_TIMEOUT, self.client.get(&path)).await;
        asked.unwrap_or_else(|_elapsed| Err(self.client.broken("it took too long")))
    }
}

/// What it is about that cannot be read is left out.
fn read(told: Value) -> Traffic {
    serde_json::from_value(told).unwrap_or_default()
}

/// Shows it until somebody has seen enough.
async fn watch(gateway: &RunningGateway, interval: Duration, order: Order) -> Result<(), CommandError> {
    let mut stops = [
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        signal(SignalKind::hangup())?,
        signal(SignalKind::quit())?,
    ];
    let [terminate, interrupt, hang_up, quit] = &mut stops;
    let terminal = Terminal::take()?;
    let mut events = terminal::events();
    let (mut order, mut traffic, mut problem) = (order, None, None);
    let mut asking = Box::pin(gateway.traffic(order));
    let mut is_asking = true;
    let mut next = Instant::now() + interval;
    loop {
        let (width, height) = Terminal::size();
        let view = View {
            place: gateway.client.authority(),
            traffic: traffic.as_ref(),
            problem: problem.as_deref(),
            order,
        };
        terminal.draw(&screen::lines(&view, width, height))?;
        tokio::select! {
            told = &mut asking, if is_asking => {
                is_asking = false;
                match told {
                    Ok(told) => (traffic, problem) = (Some(read(told)), None),
                    Err(error) => problem = Some(format!("{error}; trying again")),
                }
            }
            () = sleep_until(next), if !is_asking => {
                next = Instant::now() + interval;
                asking = Box::pin(gateway.traffic(order));
                is_asking = true;
            }
            event = events.recv() => match event.as_ref().map(meaning) {
                Some(Meaning::Order(wanted)) => {
                    order = wanted;
                    asking = Box::pin(gateway.traffic(order));
                    is_asking = true;
                }
                Some(Meaning::Nothing) => {}
                Some(Meaning::Quit) | None => return Ok(()),
            },
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            _ = quit.recv() => return Ok(()),
        }
    }
}

/// What an event wants.
enum Meaning {
    Quit,
    Order(Order),
    Nothing,
}

fn meaning(event: &Event) -> Meaning {
    let Event::Key(key) = event else {
        return Meaning::Nothing;
    };
    if key.kind == KeyEventKind::Release {
        return Meaning::Nothing;
    }
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c' | 'd') if is_control => Meaning::Quit,
        KeyCode::Char('q') | KeyCode::Esc => Meaning::Quit,
        KeyCode::Char('r') => Meaning::Order(Order::Requests),
        KeyCode::Char('w') => Meaning::Order(Order::Waiting),
        KeyCode::Char('x') => Meaning::Order(Order::Refused),
        _ => Meaning::Nothing,
    }
}

/// All of it as text that may go into a file.
fn tables(traffic: &Traffic) -> String {
    let requests = &traffic.requests;
    let mut parts = vec![format!(
        "{}: {} requests since {}, {:.1} a second (60s: {:.1}), {} in flight",
        printable(&traffic.at),
        requests.total,
        printable(&traffic.since),
        requests.per_second_10s,
        requests.per_second_60s,
        requests.in_flight
    )];
    let mut add = |rows: usize, table: String| {
        if rows > 0 {
            parts.push(table);
        }
    };
    let tenants: Vec<_> = traffic.tenants.iter().map(tenant_row).collect();
    let headings = [
        "TENANT",
        "REQ/S",
        "WAITING",
        "REFUSED/S",
        "REFUSED",
        "FAILED",
        "REQUESTS",
    ];
    add(tenants.len(), format_table(headings, &tenants));
    let budgets: Vec<_> = traffic.budgets.iter().map(budget_row).collect();
    let headings = ["BUDGET", "IN FLIGHT", "WAITING", "REFUSED", "LEFT"];
    add(budgets.len(), format_table(headings, &budgets));
    let refusals: Vec<_> = traffic.refusals.iter().map(refusal_row).collect();
    add(
        refusals.len(),
        format_table(["ERROR", "PER SECOND", "TOTAL"], &refusals),
    );
    let slowest: Vec<_> = traffic.slowest.iter().map(slow_row).collect();
    let headings = ["SLOWEST", "MS", "MOST IN", "TENANT", "STATUS", "REQUEST"];
    add(slowest.len(), format_table(headings, &slowest));
    parts.join("\n\n")
}

fn tenant_row(tenant: &traffic::Tenant) -> [String; 7] {
    [
        printable(&tenant.tenant),
        format!("{:.1}", tenant.per_second_10s),
        tenant.waiting.to_string(),
        format!("{:.1}", tenant.refused_per_second_60s),
        tenant.refused.to_string(),
        tenant.failed.to_string(),
        tenant.requests.to_string(),
    ]
}

fn budget_row(budget: &traffic::Budget) -> [String; 5] {
    [
        printable(&budget.budget),
        budget.in_flight.to_string(),
        budget.queued.to_string(),
        budget.refused.to_string(),
        printable(&budget.limits_in_words()),
    ]
}

fn refusal_row(refusal: &traffic::Refusal) -> [String; 3] {
    [
        printable(&refusal.error),
        format!("{:.1}", refusal.per_second_60s),
        refusal.total.to_string(),
    ]
}

fn slow_row(slow: &traffic::Slow) -> [String; 6] {
    let or_dash = |text: Option<&str>| printable(text.unwrap_or("-"));
    [
        or_dash(slow.operation.as_deref()),
        format!("{:.1}", slow.duration_ms),
        printable(slow.longest_step()),
        or_dash(slow.tenant.as_deref()),
        slow.status.to_string(),
        printable(&slow.request_id),
    ]
}
