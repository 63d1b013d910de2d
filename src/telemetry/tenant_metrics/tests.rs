use std::collections::HashMap;

use super::*;
use crate::tenancy::{RateTime, TenantId};

type Tenants = Vec<(Arc<Tenant>, Arc<TenantTraffic>)>;

fn tenant(name: &str) -> (Arc<Tenant>, Arc<TenantTraffic>) {
    let tenant = Tenant {
        id: TenantId(format!("ten_{name}")),
        name: name.to_owned(),
        plan: Tenant::DEFAULT_PLAN.to_owned(),
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        is_suspended: false,
    };
    (Arc::new(tenant), Arc::default())
}

fn rename(
    (old, traffic): &(Arc<Tenant>, Arc<TenantTraffic>),
    name: &str,
) -> (Arc<Tenant>, Arc<TenantTraffic>) {
    let renamed = Tenant {
        name: name.to_owned(),
        ..Tenant::clone(old)
    };
    (Arc::new(renamed), Arc::clone(traffic))
}

fn ask(tenants: &Tenants, index: usize, times: usize) {
    for _ in 0..times {
        tenants[index].1.record(200, RateTime::after(Duration::ZERO));
    }
}

/// What is shown of 2xx, by label.
fn shown(top: &TopTenants) -> HashMap<String, u64> {
    top.shown()
        .map(|(name, counts)| (name.to_owned(), counts[1]))
        .collect()
}

fn look(top: &mut TopTenants, tenants: &Tenants, limit: usize) -> HashMap<String, u64> {
    top.look(tenants, limit, Duration::from_secs(15));
    shown(top)
}

fn counts(pairs: &[(&str, u64)]) -> HashMap<String, u64> {
    pairs
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[test]
fn the_busiest_have_a_label_and_all_others_one_together() {
    let tenants: Tenants = ["a", "b", "c", "d"].map(tenant).into();
    for (index, times) in [10, 40, 30, 20].into_iter().enumerate() {
        ask(&tenants, index, times);
    }
    let mut top = TopTenants::default();
    assert_eq!(
        look(&mut top, &tenants, 2),
        counts(&[("b", 40), ("c", 30), ("other", 30)])
    );
}

#[test]
fn who_goes_down_keeps_what_it_has_and_goes_on_with_it_when_it_comes_back() {
    let tenants: Tenants = ["a", "b"].map(tenant).into();
    let mut top = TopTenants::default();
    ask(&tenants, 0, 10);
    assert_eq!(look(&mut top, &tenants, 1), counts(&[("a", 10), ("other", 0)]));
    ask(&tenants, 1, 11);
    assert_eq!(
        look(&mut top, &tenants, 1),
        counts(&[("a", 10), ("other", 11)]),
        "not well ahead"
    );
    ask(&tenants, 0, 1);
    ask(&tenants, 1, 100);
    assert_eq!(look(&mut top, &tenants, 1), counts(&[("b", 100), ("other", 12)]));
    ask(&tenants, 0, 1000);
    assert_eq!(look(&mut top, &tenants, 1), counts(&[("a", 1010), ("other", 12)]));
}

#[test]
fn a_tenant_that_is_called_as_the_others_is_one_of_them() {
    let tenants: Tenants = ["other", "a"].map(tenant).into();
    ask(&tenants, 0, 100);
    ask(&tenants, 1, 1);
    assert_eq!(
        look(&mut TopTenants::default(), &tenants, 5),
        counts(&[("a", 1), ("other", 100)])
    );
}

#[test]
fn a_new_name_counts_from_nothing_and_the_old_one_is_free() {
    let mut tenants: Tenants = vec![tenant("a")];
    let mut top = TopTenants::default();
    ask(&tenants, 0, 5);
    look(&mut top, &tenants, 5);
    tenants[0] = rename(&tenants[0], "b");
    ask(&tenants, 0, 2);
    assert_eq!(look(&mut top, &tenants, 5), counts(&[("b", 2), ("other", 0)]));
    tenants.push(tenant("a"));
    ask(&tenants, 1, 1);
    assert_eq!(
        look(&mut top, &tenants, 5),
        counts(&[("a", 6), ("b", 2), ("other", 0)])
    );
}

#[test]
fn what_a_tenant_asked_for_before_it_was_deleted_is_counted() {
    let tenants: Tenants = ["a", "b"].map(tenant).into();
    let mut top = TopTenants::default();
    look(&mut top, &tenants, 5);
    ask(&tenants, 0, 7);
    let left = tenants[1..].to_vec();
    assert_eq!(look(&mut top, &left, 5), counts(&[("b", 0), ("other", 7)]));
    assert_eq!(
        look(&mut top, &left, 5),
        counts(&[("b", 0), ("other", 7)]),
        "once"
    );
}

#[test]
fn what_was_asked_while_nobody_looked_is_no_burst_afterwards() {
    let tenants: Tenants = vec![tenant("a")];
    let mut top = TopTenants::default();
    top.pause();
    ask(&tenants, 0, 3);
    assert_eq!(
        look(&mut top, &tenants, 5),
        counts(&[("a", 3), ("other", 0)]),
        "from the start it is"
    );
    top.pause();
    ask(&tenants, 0, 1000);
    assert_eq!(look(&mut top, &tenants, 5), counts(&[("a", 3), ("other", 0)]));
    ask(&tenants, 0, 1);
    assert_eq!(look(&mut top, &tenants, 5), counts(&[("a", 4), ("other", 0)]));
}

#[test]
fn no_count_ever_goes_down_whoever_comes_goes_and_is_renamed_and_none_is_lost() {
    const LIMIT: usize = 3;
    let mut tenants: Tenants = (0..30).map(|index| tenant(&format!("t{index}"))).collect();
    let mut top = TopTenants::default();
    let mut before = HashMap::new();
    let mut asked = 0;
    for round in 0..500_usize {
        let index = round * 7 % tenants.len();
        let times = round * 13 % 50;
        ask(&tenants, index, times);
        asked += times;
        if round % 5 == 0 {
            tenants[index] = rename(&tenants[index], &format!("t{}", round % 40));
        }
        if round % 11 == 0 {
            tenants.remove(index);
            tenants.push(tenant(&format!("t{}", round % 40)));
        }
        let now = look(&mut top, &tenants, LIMIT);
        assert!(now.len() <= LIMIT + 1);
        for (name, count) in &now {
            assert!(
                before.get(name).is_none_or(|before| count >= before),
                "{name} at {round}"
            );
        }
        before.extend(now);
        let accounts = top
            .accounts
            .values()
            .map(|account| account.counts[1])
            .sum::<u64>();
        assert_eq!(accounts + top.other[1], u64::try_from(asked).unwrap());
    }
}

#[test]
fn ten_thousand_tenants_with_ever_new_names_take_no_more_memory() {
    let mut top = TopTenants::default();
    for round in 0..5 {
        let tenants: Tenants = (0..10_000)
            .map(|index| tenant(&format!("t{round}-{index}")))
            .collect();
        for index in 0..tenants.len() {
            ask(&tenants, index, 1 + index % 3);
        }
        for limit in [1000, 10] {
            assert_eq!(look(&mut top, &tenants, limit).len(), limit + 1);
        }
    }
    assert!(top.accounts.len() <= 10 + KEPT, "{}", top.accounts.len());
}
