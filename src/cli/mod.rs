//! The command line: one file for each subcommand.

mod address_probe;
mod admin_client;
mod admin_probe;
mod admin_tls;
mod adopt;
mod audit;
mod check;
mod core_dumps;
mod doctor;
mod drift;
mod health;
mod keys;
mod operator;
mod output;
mod serve;
mod signals;
mod store;
mod tenants;
mod top;
mod upstream;
mod upstream_proof;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use core_dumps::CoreDumps;

/// A gateway in front of Anthropic's environments service.
///
/// Every setting of the configuration file but plans, budgets and credentials can also be given as an environment variable:
/// ENVGATE_, the section, two underscores, the name, as in ENVGATE_LISTEN__ADDRESS=127.0.0.1:8080.
#[derive(Parser)]
#[command(name = "envgate", version, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway; without an upstream in the settings, on an embedded environments service
    Serve(Config),
    /// Tell every fault of settings and schemas at once; exit 0 or 1
    Check {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        options: check::Options,
    },
    /// Look at all that a gateway needs: what is wrong, why it matters, what to do; exit 0, or 1 at a fault
    Doctor {
        #[command(flatten)]
        config: Config,
        /// Tell it as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Ask the gateway that runs here whether requests should be sent to it: one word; exit 0 or 1
    Health(Config),
    /// Tenants: those to whom keys are given
    Tenants {
        #[command(flatten)]
        config: Config,
        #[command(subcommand)]
        command: tenants::Command,
    },
    /// Keys of tenants
    Keys {
        #[command(flatten)]
        config: Config,
        #[command(subcommand)]
        command: keys::Command,
    },
    /// The store: look at it, bring it up to date, back it up
    Store {
        #[command(flatten)]
        config: Config,
        #[command(subcommand)]
        command: store::Command,
    },
    /// The audit: who did what
    Audit {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        options: audit::Options,
    },
    /// In what the upstream's replies differ from the contract; exit 0, 1 where something is new, 2 where nobody can tell
    Drift {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        options: drift::Options,
    },
    /// Make environments a tenant's that existed before envgate, by way of the running gateway
    Adopt {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        options: adopt::Options,
    },
    /// Watch a running gateway: tenants, budgets, refusals, the slowest requests
    Top {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        options: top::Options,
    },
    /// Run the embedded environments service alone
    Upstream(upstream::Options),
}

/// Which settings a command reads.
#[derive(Args)]
struct Config {
    /// The configuration file (TOML); without it the compiled-in settings hold
    #[arg(long = "config", value_name = "FILE", global = true)]
    file: Option<PathBuf>,
}

/// Runs the command that the process was started with. The exit status is 0, 1 where the command failed, or 2
/// where it could not be understood; of `serve` also 3 where the audit does not have all that was answered, 4
/// where something in flight was cut off because it took too long, and 130 where a second signal cut it off.
#[must_use]
pub fn run() -> ExitCode {
    let core_dumps = CoreDumps::forbid();
    let command_line = CommandLine::parse();
    let outcome = match command_line.command {
        Command::Serve(config) => serve::run(config.file.as_deref(), core_dumps),
        Command::Check { config, options } => return check::run(config.file.as_deref(), &options),
        Command::Doctor { config, json } => doctor::run(config.file.as_deref(), json),
        Command::Health(config) => health::run(config.file.as_deref()),
        Command::Tenants { config, command } => tenants::run(config.file.as_deref(), command),
        Command::Keys { config, command } => keys::run(config.file.as_deref(), command),
        Command::Store { config, command } => store::run(config.file.as_deref(), command),
        Command::Audit { config, options } => audit::run(config.file.as_deref(), options),
        Command::Drift { config, options } => return drift::run(config.file.as_deref(), options),
        Command::Adopt { config, options } => adopt::run(config.file.as_deref(), options),
        Command::Top { config, options } => top::run(config.file.as_deref(), options),
        Command::Upstream(options) => upstream::run(options),
    };
    match outcome {
        Ok(code) => code,
        Err(failure) => {
            output::print_error(&failure);
            ExitCode::FAILURE
        }
    }
}
