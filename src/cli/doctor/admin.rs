//! The two addresses, and the gateway that may run there already.

use std::io;
use std::net::SocketAddr;

use tokio::task::spawn_blocking;

use super::finding::{Finding, Findings};
use crate::cli::address_probe::{self, AddressState, Holder};
use crate::cli::admin_probe::{self, AtAdmin};
use crate::config::{self, AdminEndpoint};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Looks who is at the admin address, and whether both addresses could be had.
pub(super) async fn look(
    endpoint: AdminEndpoint,
    settings: Option<config::Admin>,
    listen: Option<SocketAddr>,
) -> Findings {
    let at_admin = admin_probe::look(&endpoint, settings.as_ref()).await;
    let addresses = spawn_blocking(move || {
        let listen = listen.map(|address| (address, address_probe::look(address)));
        (listen, address_probe::look(endpoint.address))
    });
    let Ok((listen, admin)) = addresses.await else {
        return Findings::default();
    };
    let is_running = matches!(at_admin, AtAdmin::Gateway(_));
    let mut list = Vec::new();
    if let Some((address, state)) = &listen {
        list.push(address_finding(
            "listen",
            "listen.address",
            *address,
            state,
            is_running,
        ));
    }
    list.push(address_finding(
        "admin",
        "admin.address",
        endpoint.address,
        &admin,
        is_running,
    ));
    list.push(gateway_finding(&at_admin));
    if let (true, AddressState::Taken(Some(holder))) = (is_running, &admin) {
        list.extend(user_finding(holder));
    }
    list.into()
}

fn address_finding(
    check: &'static str,
    setting: &str,
    address: SocketAddr,
    state: &AddressState,
    is_running: bool,
) -> Finding {
    let no_start = "serve cannot start";
    match state {
        AddressState::Free if address.port() == 0 => {
            Finding::ok(check, format!("{setting} takes whatever port is free"))
        }
        AddressState::Free => Finding::ok(check, format!("{setting} {address} is free")),
        AddressState::Taken(holder) if is_running => {
            let by = holder
                .as_ref()
                .map_or(String::new(), |holder| format!(" (process {})", holder.pid));
            Finding::ok(
                check,
                format!("{setting} {address} is in use, and a gateway runs here{by}"),
            )
        }
        AddressState::Taken(holder) => {
            let (by, advice) = match holder {
                Some(Holder { pid, name, .. }) => (
                    format!("{name} (process {pid})"),
                    format!("stop process {pid}, or give {setting} another port"),
                ),
                None => (
                    "a process that this user may not look at".to_owned(),
                    format!("find it as root (ss -ltnp), or give {setting} another port"),
                ),
            };
            Finding::fault(
                check,
                format!("{setting} {address} is taken by {by}"),
                no_start,
                advice,
            )
        }
        AddressState::Unusable(error) => {
            let advice = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 want a right: AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or another port"
                }
                io::ErrorKind::AddrNotAvailable => {
                    "this machine has no such address: ip addr shows those that it has"
                }
                _ => "give it another address or port",
            };
            Finding::fault(check, format!("{setting}: {error}"), no_start, advice)
        }
    }
}

fn gateway_finding(at_admin: &AtAdmin) -> Finding {
    const CHECK: &str = "gateway";
    let gateway = match at_admin {
        AtAdmin::Gateway(gateway) => gateway,
        AtAdmin::Nobody(reason) => {
            return Finding::warning(
                CHECK,
                format!("none runs here: {reason}"),
                "nobody is served",
                "start it with envgate serve, and look at its log if it ends",
            );
        }
        AtAdmin::Stranger => {
            return Finding::fault(
                CHECK,
                "what answers at admin.address is no gateway",
                "commands and health checks ask somebody else",
                "give admin.address a port of its own",
            );
        }
    };
    let status = &gateway.status;
    if !gateway.is_ready {
        return Finding::fault(
            CHECK,
            format!("one runs and is not ready: {status}"),
            "balancers send nothing here",
            "mend what else is told here; its log says what it waits for",
        );
    }
    match &gateway.version {
        Some(version) if version != VERSION => Finding::warning(
            CHECK,
            format!("one runs, {status}, of version {version}; this is {VERSION}"),
            "what this binary says of settings and store may not hold for the one that runs",
            "start the gateway anew, or use the binary that it was started from",
        ),
        _ if status.starts_with("degraded") => Finding::warning(
            CHECK,
            format!("one runs, {status}"),
            "it serves, though not all is as it should be",
            "mend what it names",
        ),
        version => {
            let version = version
                .as_ref()
                .map_or(String::new(), |version| format!(", version {version}"));
            Finding::ok(CHECK, format!("one runs, {status}{version}"))
        }
    }
}

/// What a file is to one user it need not be to another.
fn user_finding(holder: &Holder) -> Option<Finding> {
    let own = rustix::process::geteuid().as_raw();
    (holder.uid != own).then(|| {
        Finding::warning(
            "gateway",
            format!("it runs as user {}, this command as {own}", holder.uid),
            "files and directories may be good for one and not for the other",
            "run envgate doctor as the gateway's user",
        )
    })
}
