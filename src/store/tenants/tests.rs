use crate::store::StoreError;
use crate::store::tests::Database::{self, Postgres, Sqlite};
use crate::store::tests::{TemporaryStore, temporary};
use crate::tenancy::{KeyTerms, StampRequired, Tenant};
use rstest::rstest;

#[rstest]
#[tokio::test]
async fn tenants_are_listed_by_name(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    for name in ["zebra", "acme"] {
        store.create_tenant(name, "default").await.unwrap();
    }
    let names: Vec<_> = store
        .tenants()
        .await
        .unwrap()
        .into_iter()
        .map(|t| t.name)
        .collect();
    assert_eq!(names, ["acme", "zebra"]);
}

#[rstest]
#[tokio::test]
async fn a_name_belongs_to_one_tenant(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    let before = store.revision().await.unwrap();
    let error = store.create_tenant("acme", "default").await.unwrap_err();
    assert!(matches!(error, StoreError::DuplicateTenant(name) if name == "acme"));
    assert_eq!(
        store.revision().await.unwrap(),
        before,
        "what was refused is no change"
    );
}

#[rstest]
#[tokio::test]
async fn a_name_has_1_to_64_characters_none_of_control(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    for name in ["", "a\nb", "\u{7f}", &"é".repeat(65)] {
        let error = store.create_tenant(name, "default").await.unwrap_err();
        assert!(matches!(error, StoreError::BadTenantName), "{name:?}");
    }
    store.create_tenant(&"é".repeat(64), "default").await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_tenant_can_be_suspended_and_let_in_again(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    for is_suspended in [true, true, false] {
        store.set_tenant_suspended("acme", is_suspended).await.unwrap();
        assert_eq!(store.tenants().await.unwrap()[0].is_suspended, is_suspended);
    }
    let error = store.set_tenant_suspended("nobody", true).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchTenant(name) if name == "nobody"));
}

#[rstest]
#[tokio::test]
async fn changes_are_everything_that_came_after_a_number(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    assert_eq!(store.revision().await.unwrap().number, 0, "nothing yet");

    let acme = store.create_tenant("acme", "default").await.unwrap();
    store.create_tenant("zebra", "default").await.unwrap();
    let key = store.create_key("acme", &KeyTerms::default()).await.unwrap();
    let everything = store.changes_since(None).await.unwrap().unwrap();
    assert_eq!(everything.tenants.len(), 2);
    assert_eq!(everything.keys.len(), 1);
    assert_eq!(everything.keys[0].digest, key.digest());
    assert_eq!(everything.keys[0].tenant, acme.id);
    assert_eq!(everything.revision, Some(store.revision().await.unwrap()));

    let nothing = store
        .changes_since(everything.revision.as_ref())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((nothing.tenants.len(), nothing.keys.len()), (0, 0));

    store.set_tenant_suspended("zebra", true).await.unwrap();
    let suspended = store
        .changes_since(everything.revision.as_ref())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(suspended.tenants.len(), 1, "only the tenant that changed");
    assert!(suspended.tenants[0].is_suspended);
    assert!(suspended.revision.as_ref().unwrap().number > everything.revision.as_ref().unwrap().number);

    store.revoke_key(key.id().as_str()).await.unwrap();
    let revoked = store
        .changes_since(suspended.revision.as_ref())
        .await
        .unwrap()
        .unwrap();
    assert!(revoked.tenants.is_empty());
    assert!(revoked.keys[0].is_revoked);
}

#[rstest]
#[tokio::test]
async fn changes_at_once_each_have_a_number_of_their_own(#[values(Sqlite, Postgres)] database: Database) {
    let TemporaryStore { store, .. } = &temporary(database).await;
    let made = (0..20).map(|n| async move { store.create_tenant(&format!("tenant {n}"), "default").await });
    for outcome in futures_util::future::join_all(made).await {
        outcome.unwrap();
    }
    let changes = store.changes_since(None).await.unwrap().unwrap();
    assert_eq!(changes.revision.as_ref().unwrap().number, 20);
    assert_eq!(changes.tenants.len(), 20);
}

#[rstest]
#[tokio::test]
async fn a_tenant_is_on_one_plan_and_can_be_moved_to_another(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    let made = store.create_tenant("acme", "gold").await.unwrap();
    assert_eq!(made.plan, "gold");
    let before = store.revision().await.unwrap();
    store.set_tenant_plan("acme", "silver").await.unwrap();
    assert_eq!(store.tenants().await.unwrap()[0].plan, "silver");
    let changes = store.changes_since(Some(&before)).await.unwrap().unwrap();
    assert_eq!(changes.tenants[0].plan, "silver", "running gateways learn of it");

    let error = store.set_tenant_plan("nobody", "gold").await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchTenant(name) if name == "nobody"));
    for plan in ["", "a\nb"] {
        let error = store.set_tenant_plan("acme", plan).await.unwrap_err();
        assert!(matches!(error, StoreError::BadPlanName), "{plan:?}");
        let error = store.create_tenant("zebra", plan).await.unwrap_err();
        assert!(matches!(error, StoreError::BadPlanName), "{plan:?}");
    }
}

#[rstest]
#[tokio::test]
async fn a_deleted_tenant_leaves_a_free_name_and_a_taken_id(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    let acme = store.create_tenant("acme", "default").await.unwrap();
    store.create_key("acme", &KeyTerms::default()).await.unwrap();
    let before = store.revision().await.unwrap();

    assert_eq!(store.delete_tenant("acme").await.unwrap(), acme.id);
    assert!(store.tenants().await.unwrap().is_empty());
    assert!(store.keys(None).await.unwrap().is_empty());
    let changes = store.changes_since(Some(&before)).await.unwrap().unwrap();
    assert_eq!(changes.deleted_tenants, std::slice::from_ref(&acme.id));
    assert_eq!(
        store
            .changes_since(changes.revision.as_ref())
            .await
            .unwrap()
            .unwrap()
            .deleted_tenants,
        []
    );

    let again = store.create_tenant("acme", "default").await.unwrap();
    assert_ne!(again.id, acme.id);
    let error = store.delete_tenant("nobody").await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchTenant(name) if name == "nobody"));
}

#[rstest]
#[tokio::test]
async fn a_page_of_tenants_goes_on_by_name_whatever_is_gone(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    for name in ["b", "\u{e9}", "a", "B", "d"] {
        store.create_tenant(name, "default").await.unwrap();
    }
    let names = async |after: &str, limit| -> Vec<String> {
        let page = store.tenants_after(after, limit).await.unwrap();
        page.into_iter().map(|tenant| tenant.name).collect()
    };
    assert_eq!(names("", 2).await, ["B", "a"], "in the order of their bytes");
    store.delete_tenant("a").await.unwrap();
    store.create_tenant("c", "default").await.unwrap();
    assert_eq!(names("a", 2).await, ["b", "c"]);
    assert_eq!(names("c", 9).await, ["d", "\u{e9}"]);
}

#[rstest]
#[tokio::test]
async fn plan_and_suspension_change_in_one_and_what_is_not_named_stays(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    store.create_tenant("zebra", "gold").await.unwrap();
    let before = store.revision().await.unwrap();
    let changed = store
        .change_tenant(None, "acme", Some("gold"), Some(true))
        .await
        .unwrap();
    assert_eq!((changed.plan.as_str(), changed.is_suspended), ("gold", true));
    assert_eq!(
        store.revision().await.unwrap().number,
        before.number + 1,
        "one change"
    );
    assert_eq!(store.tenant("acme").await.unwrap(), changed);
    let same = store.change_tenant(None, "acme", None, None).await.unwrap();
    assert_eq!(same, changed);
    assert_eq!(
        store.tenants_by_plan().await.unwrap(),
        [("gold".to_owned(), 2)].into()
    );
    let error = store.tenant("nobody").await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchTenant(name) if name == "nobody"));
}

#[rstest]
#[tokio::test]
async fn of_tenants_that_are_made_at_once_only_those_are_there_that_a_rule_allows_together(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let alone = |tenants: &[Tenant]| {
        let required = StampRequired {
            access: "the upstream credential".to_owned(),
            tenants: Vec::new(),
        };
        tenants.is_empty().then_some(()).ok_or(required)
    };
    let names: Vec<_> = (0..6).map(|number| format!("t{number}")).collect();
    let creating = names
        .iter()
        .map(|name| store.create_tenant_under(Some(&alone), name, "default"));
    let outcomes = futures_util::future::join_all(creating).await;
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(made, 1, "{outcomes:?}");
    assert_eq!(store.tenants().await.unwrap().len(), 1);
    let refused = outcomes.into_iter().filter_map(Result::err);
    for error in refused {
        assert!(matches!(error, StoreError::StampRequired(_)), "{error:?}");
    }
    let moved = store.change_tenant(Some(&alone), "t0", Some("gold"), None).await;
    assert!(matches!(moved, Err(StoreError::StampRequired(_))), "{moved:?}");
}
