//! What the machine gives: descriptors, memory, time.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::finding::Finding;
use crate::config::Settings;
use crate::server::DescriptorLimit;

/// What a gateway has in memory before anybody asks it for anything, generously.
const BASE_MEMORY: u64 = 32 << 20;
/// What an idle connection takes.
const MEMORY_OF_CONNECTION: u64 = 12 << 10;
/// From here on a clock that differs is worth a word, and from here on it is a fault.
const REMARKABLE: SignedDuration = SignedDuration::from_secs(10);
const WRONG: SignedDuration = SignedDuration::from_mins(5);
/// Before this nobody has had this program.
const FIRST_YEAR: i16 = 2026;

/// Whether there are descriptors for as many connections as there may be.
pub(super) fn look_at_descriptors(settings: &Settings) -> Finding {
    const CHECK: &str = "descriptors";
    let limit = DescriptorLimit::look();
    let asked = settings.listen.max_connections;
    let room = limit.connections(asked);
    let found = format!(
        "{} of them, raised to {} at the start: room for {room} connections",
        limit.inherited, limit.raised
    );
    match asked {
        Some(asked) if asked > room => Finding::warning(
            CHECK,
            format!("{found}, and listen.max_connections is {asked}"),
            "at that limit each new connection closes an idle one",
            format!(
                "raise the hard limit to {}: LimitNOFILE= in the unit, ulimit -Hn, or the container's --ulimit nofile=",
                DescriptorLimit::needed(asked)
            ),
        ),
        _ => Finding::ok(
            CHECK,
            format!("{found}, as far as this command's own limits are those of the gateway"),
        ),
    }
}

/// Whether the limit of memory leaves room for what the settings allow.
pub(super) fn look_at_memory(settings: &Settings) -> Finding {
    const CHECK: &str = "memory";
    let mebibytes = |bytes: u64| format!("{} MiB", bytes >> 20);
    let Some(limit) = memory_limit() else {
        return Finding::ok(CHECK, "no control group limits it");
    };
    let unread = u64::try_from(settings.listen.max_unread_bytes).unwrap_or(u64::MAX);
    let connections = DescriptorLimit::look().connections(settings.listen.max_connections);
    let connections = u64::try_from(connections).unwrap_or(u64::MAX);
    let most = BASE_MEMORY
        .saturating_add(settings.cache.max_bytes)
        .saturating_add(unread)
        .saturating_add(connections.saturating_mul(MEMORY_OF_CONNECTION));
    let found = format!("limited to {} by its control group", mebibytes(limit));
    if limit >= most {
        return Finding::ok(CHECK, found);
    }
    Finding::warning(
        CHECK,
        format!(
            "{found}; full of connections and of answers that nobody takes, a gateway may need {}",
            mebibytes(most)
        ),
        "the kernel ends a process that goes beyond, with everything in flight",
        "raise the limit, or lower listen.max_connections, listen.max_unread_bytes and cache.max_bytes",
    )
}

/// Compares this machine's clock with those of others.
pub(super) fn look_at_clock(clocks: &[(String, SignedDuration)]) -> Vec<Finding> {
    const CHECK: &str = "clock";
    let why = "keys and certificates expire by it, and the audit tells times; budgets of replicas go by Redis' clock";
    let advice = "let it be set by the network: timedatectl set-ntp true, or chronyd";
    let now = Timestamp::now();
    if now.to_zoned(jiff::tz::TimeZone::UTC).year() < FIRST_YEAR {
        return vec![Finding::fault(CHECK, format!("it is {now:.0} here"), why, advice)];
    }
    if clocks.is_empty() {
        return vec![Finding::ok(
            CHECK,
            format!("it is {now:.0}; nobody else was asked for the time"),
        )];
    }
    let mut list = Vec::new();
    for (whose, ahead) in clocks {
        let difference = ahead.abs();
        let (direction, seconds) = (
            if ahead.is_negative() { "ahead of" } else { "behind" },
            difference.as_secs(),
        );
        let found = format!("it is {seconds} s {direction} that of {whose}");
        list.push(if difference >= WRONG {
            Finding::fault(CHECK, found, why, advice)
        } else if difference >= REMARKABLE {
            Finding::warning(CHECK, found, why, advice)
        } else {
            Finding::ok(CHECK, format!("as that of {whose}"))
        });
    }
    list.dedup_by(|a, b| a.found == b.found);
    list
}

/// The least limit of the control groups that this process is in, of either version.
fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        match controllers {
            "" => least("/sys/fs/cgroup", path, "memory.max"),
            list if list.split(',').any(|name| name == "memory") => {
                least("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes")
            }
            _ => None,
        }
    });
    // Without a limit version 1 has one that no machine reaches.
    limits.min().filter(|limit| *limit < 1 << 50)
}

/// The least value of a file in a group and all above it; a container sees its own as the root.
fn least(root: &str, group: &str, file: &str) -> Option<u64> {
    let group = Path::new(group.trim_start_matches('/'));
    let mut above: Vec<PathBuf> = group
        .ancestors()
        .map(|group| Path::new(root).join(group))
        .collect();
    above.push(PathBuf::from(root));
    let values = above
        .iter()
        .filter_map(|group| fs::read_to_string(group.join(file)).ok());
    values.filter_map(|value| value.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Grade;

    #[test]
    fn a_clock_is_wrong_where_it_differs_by_minutes() {
        let grade =
            |seconds| look_at_clock(&[("Redis".to_owned(), SignedDuration::from_secs(seconds))])[0].grade;
        assert_eq!(grade(0), Grade::Ok);
        assert_eq!(grade(-30), Grade::Warning);
        assert_eq!(grade(3600), Grade::Fault);
        let found = &look_at_clock(&[("Redis".to_owned(), SignedDuration::from_secs(60))])[0].found;
        assert_eq!(found, "it is 60 s behind that of Redis");
    }

    #[test]
    fn the_least_limit_of_all_groups_holds() {
        let root = tempfile::tempdir().unwrap();
        let write = |group: &str, value: &str| {
            fs::create_dir_all(root.path().join(group)).unwrap();
            fs::write(root.path().join(group).join("memory.max"), value).unwrap();
        };
        write("a", "max\n");
        write("a/b", "1000\n");
        write("a/b/c", "2000\n");
        let least = |group| least(root.path().to_str().unwrap(), group, "memory.max");
        assert_eq!(least("/a/b/c"), Some(1000));
        assert_eq!(least("/a"), None);
    }
}
