use std::borrow::Cow;

use super::*;
use crate::tenancy::{KeyText, Tenant};

fn owners(is_stamping: bool) -> Owners {
    Owners::new(&config::Ownership {
        is_stamping,
        stamp_key: StampKey::default(),
        adoption_timeout: Duration::from_secs(600),
    })
}

fn caller() -> Caller {
    Caller {
        traffic: Arc::default(),
        tenant: Arc::new(Tenant {
            id: TenantId::generate().unwrap(),
            name: "demo".to_owned(),
            created_at: "2026-01-01T00:00:00Z".to_owned(),
            plan: Tenant::DEFAULT_PLAN.to_owned(),
            is_suspended: false,
        }),
        restrictions: None,
        key: KeyText::generate().unwrap().id(),
    }
}

fn scope(caller: &Caller) -> OwnerScope<'_> {
    static ACCESS: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "default".into());
    OwnerScope {
        caller,
        access: &ACCESS,
    }
}

fn refused(status: StatusCode, message: &str) -> ApiError {
    ApiError::Upstream(Box::new(UpstreamError {
        status,
        error_type: Cow::Borrowed("invalid_request_error"),
        message: message.to_owned(),
        details: None,
        headers: Vec::new(),
    }))
}

#[test]
fn only_a_create_is_stamped() {
    let (on, caller) = (owners(true), caller());
    let body = Bytes::from_static(br#"{"name":"a"}"#);
    let stamped = on.stamp(Operation::Create, &caller, body.clone()).unwrap();
    assert_eq!(
        stamped,
        format!(
            r#"{{"name":"a","metadata":{{"envgate:tenant":"{}"}}}}"#,
            caller.tenant.id
        )
    );
    assert_eq!(on.stamp(Operation::Update, &caller, body.clone()).unwrap(), body);
    assert_eq!(
        owners(false)
            .stamp(Operation::Create, &caller, body.clone())
            .unwrap(),
        body
    );
}

#[test]
fn what_one_tenant_owns_says_nothing_to_another() {
    let (owners, one, two) = (owners(true), caller(), caller());
    let id = EnvironmentId::parse("env_1").unwrap();
    owners.remember(scope(&one), &id, Ownership::Owned, owners.epoch());
    assert_eq!(owners.ownership(scope(&one), &id), Some(Ownership::Owned));
    assert_eq!(owners.ownership(scope(&two), &id), None);
    owners.remember(scope(&two), &id, Ownership::NotOwned, owners.epoch());
    assert_eq!(owners.ownership(scope(&one), &id), Some(Ownership::Owned));
}

#[test]
fn the_last_that_was_learnt_holds_for_as_long_as_its_kind_does() {
    let (owners, caller) = (owners(true), caller());
    let id = EnvironmentId::parse("env_1").unwrap();
    owners.remember(scope(&caller), &id, Ownership::Owned, owners.epoch());
    owners.remember(scope(&caller), &id, Ownership::NotOwned, owners.epoch());
    assert_eq!(owners.ownership(scope(&caller), &id), Some(Ownership::NotOwned));
    let key = OwnershipKey::new(scope(&caller), &id);
    let left = Some(OWNED_FOR);
    assert_eq!(
        ByOwnership.expire_after_update(&key, &Ownership::NotOwned, Instant::now(), left),
        Some(NOT_OWNED_FOR)
    );
}

#[test]
fn refused_metadata_is_explained_to_those_near_the_limit_only() {
    let (on, off) = (owners(true), owners(false));
    let message = |ownership: &Owners, status, message: &str, pairs| {
        ownership.explain(refused(status, message), pairs).to_string()
    };
    let (bad, text) = (StatusCode::BAD_REQUEST, "Metadata has more than 16 pairs");
    assert_eq!(
        message(&on, bad, text, 15),
        "Metadata has more than 16 pairs (one pair of the metadata is reserved by the gateway)"
    );
    assert_eq!(message(&on, bad, text, 14), text);
    assert_eq!(message(&on, bad, "name: taken", 16), "name: taken");
    assert_eq!(message(&on, StatusCode::CONFLICT, text, 16), text);
    assert_eq!(message(&off, bad, text, 16), text);
}

#[test]
fn what_is_forgotten_is_forgotten_for_every_tenant_and_nothing_else_is() {
    let (owners, one, two) = (owners(true), caller(), caller());
    let ids = ["env_1", "env_2"].map(|id| EnvironmentId::parse(id).unwrap());
    for id in &ids {
        owners.remember(scope(&one), id, Ownership::Owned, owners.epoch());
        owners.remember(scope(&two), id, Ownership::NotOwned, owners.epoch());
    }
    owners.forget(&ids[..1]);
    for caller in [&one, &two] {
        assert_eq!(owners.ownership(scope(caller), &ids[0]), None);
        assert!(owners.ownership(scope(caller), &ids[1]).is_some());
    }
}

#[test]
fn what_was_asked_before_something_was_forgotten_is_not_remembered_after_it() {
    let (owners, caller) = (owners(true), caller());
    let id = EnvironmentId::parse("env_1").unwrap();
    let retrieve = Target {
        operation: Operation::Retrieve,
        environment: Some(id.clone()),
    };
    let is_absent = |asked_at| {
        let absent = Err(refused(StatusCode::NOT_FOUND, "not found"));
        let settled = owners.settle(&retrieve, scope(&caller), asked_at, absent);
        assert!(matches!(settled, Err(ApiError::EnvironmentNotFound)));
        owners.ownership(scope(&caller), &id)
    };
    let before = owners.epoch();
    // Somebody adopts it for this tenant meanwhile.
    owners.forget(std::slice::from_ref(&id));
    assert_eq!(is_absent(before), None);
    assert_eq!(is_absent(owners.epoch()), Some(Ownership::NotOwned));
}
