use jiff::ToSpan;

use super::*;
use crate::contract::Operation;
use crate::tenancy::KeyText;

const NOW: Timestamp = Timestamp::constant(1_780_048_800, 0);

fn tenant(name: &str) -> Tenant {
    Tenant {
        id: TenantId::generate().unwrap(),
        name: name.to_owned(),
        plan: Tenant::DEFAULT_PLAN.to_owned(),
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        is_suspended: false,
    }
}

fn record(tenant: &Tenant, key: &KeyText) -> KeyRecord {
    KeyRecord {
        tenant: tenant.id.clone(),
        digest: key.digest(),
        expires_at: None,
        is_revoked: false,
        restrictions: None,
    }
}

fn caller(directory: &Directory, key: &KeyText) -> Result<Caller, ApiError> {
    directory.caller(key.reveal().as_bytes(), NOW)
}

fn failure(directory: &Directory, key: &KeyText) -> AuthenticationFailure {
    match caller(directory, key) {
        Err(ApiError::Unauthenticated { failure, .. }) => failure,
        other => panic!("expected an authentication failure, got {other:?}"),
    }
}

#[test]
fn nobody_is_turned_away_before_the_store_was_read() {
    let directory = Directory::default();
    let unknown = KeyText::generate().unwrap();
    assert!(matches!(caller(&directory, &unknown), Err(ApiError::NotReady)));
    directory.apply(vec![], vec![]);
    assert_eq!(failure(&directory, &unknown), AuthenticationFailure::Unknown);
    assert!(matches!(
        directory.caller(b"short", NOW),
        Err(ApiError::Unauthenticated {
            failure: AuthenticationFailure::Unknown,
            ..
        })
    ));
}

#[test]
fn a_key_finds_its_own_tenant_among_many() {
    let directory = Directory::default();
    let (one, two) = (tenant("one"), tenant("two"));
    let keys: Vec<KeyText> = (0..3000).map(|_| KeyText::generate().unwrap()).collect();
    let owner = |index: usize| if index.is_multiple_of(2) { &one } else { &two };
    let records = keys
        .iter()
        .enumerate()
        .map(|(index, key)| record(owner(index), key))
        .collect();
    directory.apply(vec![one.clone(), two.clone()], records);
    for (index, key) in keys.iter().enumerate() {
        let caller = caller(&directory, key).unwrap();
        assert_eq!(caller.tenant.name, owner(index).name);
        assert_eq!(caller.key, key.id());
    }
}

#[test]
fn a_revoked_key_and_a_suspended_tenant_are_told_apart() {
    let directory = Directory::default();
    let tenant = tenant("demo");
    let (good, bad) = (KeyText::generate().unwrap(), KeyText::generate().unwrap());
    directory.apply(
        vec![tenant.clone()],
        vec![record(&tenant, &good), record(&tenant, &bad)],
    );

    let revoked = KeyRecord {
        is_revoked: true,
        ..record(&tenant, &bad)
    };
    directory.apply(vec![], vec![revoked]);
    assert_eq!(failure(&directory, &bad), AuthenticationFailure::Revoked);
    assert!(caller(&directory, &good).is_ok());

    directory.apply(
        vec![Tenant {
            is_suspended: true,
            ..tenant.clone()
        }],
        vec![],
    );
    assert_eq!(failure(&directory, &good), AuthenticationFailure::Suspended);
    directory.apply(vec![tenant], vec![]);
    assert!(caller(&directory, &good).is_ok(), "a tenant can come back");
}

#[test]
fn a_key_is_good_until_the_moment_of_its_expiry_which_the_refusal_names() {
    let directory = Directory::default();
    let tenant = tenant("demo");
    let key = KeyText::generate().unwrap();
    let expires_at = NOW + 1.second();
    let expiring = KeyRecord {
        expires_at: Some(expires_at),
        ..record(&tenant, &key)
    };
    directory.apply(vec![tenant], vec![expiring]);
    assert!(caller(&directory, &key).is_ok());

    let refused = directory.caller(key.reveal().as_bytes(), expires_at).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "this API key expired at 2026-05-29T10:00:01Z"
    );
}

#[test]
fn a_caller_bears_the_restrictions_and_the_plan_of_its_key() {
    let directory = Directory::default();
    let tenant = Tenant {
        plan: "gold".to_owned(),
        ..tenant("demo")
    };
    let key = KeyText::generate().unwrap();
    let restricted = KeyRecord {
        restrictions: Restrictions::new(&[Operation::List], vec![]),
        ..record(&tenant, &key)
    };
    directory.apply(vec![tenant], vec![restricted]);
    let caller = caller(&directory, &key).unwrap();
    assert!(caller.allows_operation(Operation::List));
    assert!(!caller.allows_operation(Operation::Update));
    assert_eq!(caller.tenant.plan, "gold");
}

#[test]
fn the_keys_of_a_deleted_tenant_are_unknown_at_once() {
    let directory = Directory::default();
    let (gone, stays) = (tenant("gone"), tenant("stays"));
    let (its, others) = (KeyText::generate().unwrap(), KeyText::generate().unwrap());
    directory.apply(
        vec![gone.clone(), stays.clone()],
        vec![record(&gone, &its), record(&stays, &others)],
    );
    directory.remove_tenants(std::slice::from_ref(&gone.id));
    assert_eq!(failure(&directory, &its), AuthenticationFailure::Unknown);
    assert!(caller(&directory, &others).is_ok());

    directory.apply(vec![], vec![record(&gone, &its)]);
    assert_eq!(
        failure(&directory, &its),
        AuthenticationFailure::Unknown,
        "a key that was read before its tenant's end does not come back"
    );
}

#[test]
fn uses_are_noted_by_the_second_and_survive_a_change_of_the_key() {
    let directory = Directory::default();
    let tenant = tenant("demo");
    let (used, unused) = (KeyText::generate().unwrap(), KeyText::generate().unwrap());
    let all = || vec![record(&tenant, &used), record(&tenant, &unused)];
    directory.apply(vec![tenant.clone()], all());
    assert_eq!(directory.uses_since(NOW), []);

    caller(&directory, &used).unwrap();
    directory.apply(vec![], all());
    assert_eq!(directory.uses_since(NOW), [(used.digest(), NOW)]);
    assert_eq!(directory.uses_since(NOW + 1.second()), []);
}

#[test]
fn one_key_in_memory_takes_200_bytes_at_most() {
    // A map is 7/16 full when it has just grown, and keeps one byte of its own for each place.
    let place = size_of::<(KeyDigest, Entry)>() + 1;
    assert!(place * 16 / 7 <= 200, "{place} bytes a place");
}

#[test]
fn tenants_are_counted_by_their_plan_wherever_they_move() {
    let directory = Directory::default();
    let on = |plans: &[&str]| {
        let plans: Vec<_> = plans.iter().map(|plan| (*plan).to_owned()).collect();
        directory.count_on(&plans)
    };
    let moved = |tenant: &Tenant, plan: &str| Tenant {
        plan: plan.to_owned(),
        ..tenant.clone()
    };
    let (one, two) = (tenant("one"), tenant("two"));
    directory.apply(vec![one.clone(), two.clone()], vec![]);
    assert_eq!((on(&["default"]), on(&["gold"])), (2, 0));
    // The same again, as after an answer of the store that was lost.
    directory.apply(vec![one.clone(), moved(&two, "gold")], vec![]);
    assert_eq!((on(&["default"]), on(&["gold"])), (1, 1));
    assert_eq!(on(&["default", "gold", "silver"]), 2);
    directory.remove_tenants(&[two.id.clone(), two.id]);
    assert_eq!((on(&["default"]), on(&["gold"])), (1, 0));
}

#[test]
fn what_a_tenant_asks_for_is_counted_in_one_place_whatever_it_is_called() {
    let directory = Directory::default();
    let acme = tenant("acme");
    let keys = [KeyText::generate().unwrap(), KeyText::generate().unwrap()];
    let records = keys.iter().map(|key| record(&acme, key)).collect();
    directory.apply(vec![acme.clone(), tenant("silent")], records);
    assert!(directory.traffic().is_empty(), "nobody has asked");
    let first = caller(&directory, &keys[0]).unwrap();
    let renamed = Tenant {
        name: "acme two".to_owned(),
        ..acme.clone()
    };
    directory.apply(vec![renamed], vec![]);
    let second = caller(&directory, &keys[1]).unwrap();
    assert!(Arc::ptr_eq(&first.traffic, &second.traffic));
    let names: Vec<_> = directory
        .traffic()
        .iter()
        .map(|(tenant, _)| tenant.name.clone())
        .collect();
    assert_eq!(names, ["acme two"]);
    directory.remove_tenants(&[acme.id]);
    assert!(directory.traffic().is_empty());
}

#[test]
fn keys_that_come_and_are_revoked_are_told_once() {
    let directory = Directory::default();
    let acme = tenant("acme");
    let good = record(&acme, &KeyText::generate().unwrap());
    let revoked = || KeyRecord {
        is_revoked: true,
        ..good.clone()
    };
    let changes = |added, revoked| KeyChanges { added, revoked };
    assert_eq!(
        directory.extend(vec![acme.clone()], vec![good.clone()]),
        changes(1, 0)
    );
    assert_eq!(directory.extend(vec![], vec![good.clone()]), changes(0, 0));
    assert_eq!(directory.extend(vec![], vec![revoked()]), changes(0, 1));
    assert_eq!(directory.extend(vec![], vec![revoked()]), changes(0, 0));
}
