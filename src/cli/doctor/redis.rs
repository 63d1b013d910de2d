//! The Redis in which replicas count together.

use super::finding::{Finding, Findings};
use crate::config::Quota;
use crate::quota::RedisInspection;

const CHECK: &str = "redis";
/// From here on a script may ask for the time and then write.
const LEAST_MAJOR_VERSION: u32 = 5;

/// Looks at it, if there is one.
pub(super) async fn look(quota: &Quota) -> Findings {
    let Some(url) = &quota.redis else {
        return match quota.replicas {
            1 => Finding::ok(CHECK, "not used: this gateway spends its budgets alone"),
            count => Finding::warning(
                CHECK,
                format!("not used, and quota.replicas is {count}"),
                "each replica goes by its share of every budget, even while the others are idle",
                "set quota.redis (ENVGATE_QUOTA__REDIS) to let them count together",
            ),
        }
        .into();
    };
    match RedisInspection::look(url.reveal()).await {
        Ok(found) => Findings {
            list: judge(&found),
            clocks: vec![("Redis".to_owned(), found.clock_ahead)],
        },
        Err(error) => Finding::fault(
            CHECK,
            error.to_string(),
            "replicas go by their shares of the budgets, and after quota.alone_for send nothing: tenants get 429",
            "look whether it runs, at host, port, user and password in quota.redis, and whether a firewall stands between",
        )
        .into(),
    }
}

fn judge(found: &RedisInspection) -> Vec<Finding> {
    let mut list = vec![Finding::ok(
        CHECK,
        format!(
            "Redis {}, {}, maxmemory-policy {}",
            found.version, found.mode, found.eviction_policy
        ),
    )];
    if !matches!(found.mode.as_str(), "" | "standalone") {
        list.push(Finding::fault(
            CHECK,
            format!("it runs as a {}", found.mode),
            "a budget needs one server that counts; this one is refused",
            "use one primary, with standbys behind one address if it has to survive a machine",
        ));
    }
    let major = found
        .version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    if major.is_some_and(|major| major < LEAST_MAJOR_VERSION) {
        list.push(Finding::fault(
            CHECK,
            format!("its version is {}", found.version),
            "the script that counts asks for the time and then writes, which older ones refuse",
            "use Redis 6 or newer",
        ));
    }
    if found.is_replica {
        list.push(Finding::fault(
            CHECK,
            "it is a replica of another Redis",
            "it takes no writes, so nothing is counted",
            "let quota.redis name the primary, or an address that follows it",
        ));
    }
    if !found.runs_scripts {
        list.push(Finding::fault(
            CHECK,
            "it does not run scripts for this user",
            "budgets are counted by a script",
            "let the user of quota.redis run EVAL and EVALSHA (ACL SETUSER … +@scripting)",
        ));
    }
    // Budgets expire, so the policies that look for such keys take them too.
    if found.max_memory_bytes > 0 && found.eviction_policy != "noeviction" {
        list.push(Finding::warning(
            CHECK,
            format!("maxmemory-policy is {}", found.eviction_policy),
            "when its memory is full it may drop a budget, and what was spent is forgotten",
            "set maxmemory-policy to noeviction",
        ));
    }
    list
}
