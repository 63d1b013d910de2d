//! What a key costs: to look up, to change, and in memory, at 10, 10,000 and 1,000,000 keys.
//!
//! `cargo bench --profile fast --bench directory`
#![allow(
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use envgate::tenancy::{Directory, KeyRecord, KeyText, Tenant, TenantId};
use jiff::Timestamp;

const TENANTS: usize = 1000;
/// Keys come in portions, so that what they are made from does not count as the memory of the directory.
const PORTION: usize = 10_000;
/// How many keys at most are looked up: enough for their entries to lie far apart in memory.
const MOST_LOOKED_UP: usize = 100_000;
const LOOKUPS: usize = 1_000_000;
const CHANGES: usize = 1000;

/// How many keys a small directory's memory is averaged over, so that what is needed for a moment only to fill
/// it does not show.
const MEASURED_KEYS: usize = 500_000;

fn main() {
    let tenants: Vec<_> = (0..TENANTS).map(tenant).collect();
    // All are kept, because what was freed would be taken again and not count.
    let mut kept = Vec::new();
    println!("     keys   lookup  one change  bytes a key");
    for count in [10, 10_000, 1_000_000] {
        let sample = new_keys(&tenants, count.min(MOST_LOOKED_UP));
        let directories = (MEASURED_KEYS / count).clamp(1, 50);
        let before = resident_bytes();
        let filled: Vec<_> = (0..directories)
            .map(|_| filled(&tenants, &sample, count))
            .collect();
        let bytes = resident_bytes().saturating_sub(before) / directories / count;
        // Of ten keys nothing can be seen beside the shards and the tenants.
        let bytes = if count < TENANTS {
            "-".to_owned()
        } else {
            bytes.to_string()
        };
        let lookup = time_of_lookup(&filled[0], &sample).as_nanos();
        let change = time_of_change(&filled[0], &sample);
        println!("{count:>9}  {lookup:>4} ns  {change:>10.1?}  {bytes:>11}");
        kept.push(filled);
    }
}

/// A directory of so many keys, the sample among them.
fn filled(tenants: &[Tenant], sample: &[(KeyText, TenantId)], count: usize) -> Directory {
    let directory = Directory::default();
    directory.apply(tenants.to_vec(), vec![]);
    for keys in sample.chunks(PORTION) {
        add(&directory, keys);
    }
    for start in (sample.len()..count).step_by(PORTION) {
        add(&directory, &new_keys(tenants, PORTION.min(count - start)));
    }
    directory
}

fn new_keys(tenants: &[Tenant], count: usize) -> Vec<(KeyText, TenantId)> {
    let owner = |index: usize| tenants[index % tenants.len()].id.clone();
    (0..count)
        .map(|index| (KeyText::generate().unwrap(), owner(index)))
        .collect()
}

fn add(directory: &Directory, keys: &[(KeyText, TenantId)]) {
    let records = keys.iter().map(|(key, tenant)| record(key, tenant)).collect();
    directory.apply(vec![], records);
}

fn time_of_lookup(directory: &Directory, sample: &[(KeyText, TenantId)]) -> Duration {
    let now = Timestamp::now();
    // A step that is prime to the size visits all keys, each far from the one before.
    let step = 7919;
    let started = Instant::now();
    for lookup in 0..LOOKUPS {
        let (key, _) = &sample[lookup * step % sample.len()];
        black_box(directory.caller(black_box(key.reveal().as_bytes()), now).unwrap());
    }
    started.elapsed() / LOOKUPS as u32
}

fn time_of_change(directory: &Directory, sample: &[(KeyText, TenantId)]) -> Duration {
    let started = Instant::now();
    for change in 0..CHANGES {
        let (key, tenant) = &sample[change * 31 % sample.len()];
        directory.apply(vec![], vec![record(key, tenant)]);
    }
    started.elapsed() / CHANGES as u32
}

fn tenant(number: usize) -> Tenant {
    Tenant {
        id: TenantId::generate().unwrap(),
        name: format!("tenant {number}"),
        plan: Tenant::DEFAULT_PLAN.to_owned(),
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        is_suspended: false,
    }
}

fn record(key: &KeyText, tenant: &TenantId) -> KeyRecord {
    KeyRecord {
        tenant: tenant.clone(),
        digest: key.digest(),
        expires_at: None,
        is_revoked: false,
        restrictions: None,
    }
}

/// The resident memory of this process, as Linux tells it in pages.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
