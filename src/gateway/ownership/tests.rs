use std::borrow::Cow;

use super::*;
use crate::tenancy::{KeyText, Tenant};

fn ownership(is_stamping: bool) -> Ownership {
    Ownership::new(&config::Ownership {
        is_stamping,
        stamp_key: StampKey::default(),
    })
}

fn caller() -> Caller {
    Caller {
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

fn claimant(caller: &Caller) -> Claimant<'_> {
    static ACCESS: std::sync::LazyLock<Arc<str>> = std::sync::LazyLock::new(|| "default".into());
    Claimant {
        caller,
        access: &ACCESS,
    }
}

fn refused(status: StatusCode, message: &str) -> ApiError {
    ApiError::Upstream(Box::new(UpstreamRefusal {
        status,
        error_type: Cow::Borrowed("invalid_request_error"),
        message: message.to_owned(),
        details: None,
        headers: Vec::new(),
    }))
}

#[test]
fn only_a_create_is_stamped() {
    let (on, caller) = (ownership(true), caller());
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
        ownership(false)
            .stamp(Operation::Create, &caller, body.clone())
            .unwrap(),
        body
    );
}

#[test]
fn what_one_tenant_owns_says_nothing_to_another() {
    let (ownership, one, two) = (ownership(true), caller(), caller());
    let id = EnvironmentId::parse("env_1").unwrap();
    ownership.remember(claimant(&one), &id, Standing::Owned, ownership.moment());
    assert_eq!(ownership.standing(claimant(&one), &id), Some(Standing::Owned));
    assert_eq!(ownership.standing(claimant(&two), &id), None);
    ownership.remember(claimant(&two), &id, Standing::NotOwned, ownership.moment());
    assert_eq!(ownership.standing(claimant(&one), &id), Some(Standing::Owned));
}

#[test]
fn the_last_that_was_learnt_holds_for_as_long_as_its_kind_does() {
    let (ownership, caller) = (ownership(true), caller());
    let id = EnvironmentId::parse("env_1").unwrap();
    ownership.remember(claimant(&caller), &id, Standing::Owned, ownership.moment());
    ownership.remember(claimant(&caller), &id, Standing::NotOwned, ownership.moment());
    assert_eq!(
        ownership.standing(claimant(&caller), &id),
        Some(Standing::NotOwned)
    );
    let claim = Claim::new(claimant(&caller), &id);
    let left = Some(OWNED_FOR);
    assert_eq!(
        ByStanding.expire_after_update(&claim, &Standing::NotOwned, Instant::now(), left),
        Some(NOT_OWNED_FOR)
    );
}

#[test]
fn refused_metadata_is_explained_to_those_near_the_limit_only() {
    let (on, off) = (ownership(true), ownership(false));
    let message = |ownership: &Ownership, status, message: &str, pairs| {
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
    let (ownership, one, two) = (ownership(true), caller(), caller());
    let ids = ["env_1", "env_2"].map(|id| EnvironmentId::parse(id).unwrap());
    for id in &ids {
        ownership.remember(claimant(&one), id, Standing::Owned, ownership.moment());
        ownership.remember(claimant(&two), id, Standing::NotOwned, ownership.moment());
    }
    ownership.forget(&ids[..1]);
    for caller in [&one, &two] {
        assert_eq!(ownership.standing(claimant(caller), &ids[0]), None);
        assert!(ownership.standing(claimant(caller), &ids[1]).is_some());
    }
}

#[test]
fn what_was_asked_before_something_was_forgotten_is_not_remembered_after_it() {
    let (ownership, caller) = (ownership(true), caller());
    let id = EnvironmentId::parse("env_1").unwrap();
    let retrieve = Target {
        operation: Operation::Retrieve,
        environment: Some(id.clone()),
    };
    let is_absent = |asked_at| {
        let absent = Err(refused(StatusCode::NOT_FOUND, "not found"));
        let settled = ownership.settle(&retrieve, claimant(&caller), asked_at, absent);
        assert!(matches!(settled, Err(ApiError::EnvironmentNotFound)));
        ownership.standing(claimant(&caller), &id)
    };
    let before = ownership.moment();
    // Somebody adopts it for this tenant meanwhile.
    ownership.forget(std::slice::from_ref(&id));
    assert_eq!(is_absent(before), None);
    assert_eq!(is_absent(ownership.moment()), Some(Standing::NotOwned));
}
