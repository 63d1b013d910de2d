use jiff::{SignedDuration, Timestamp, ToSpan};
use rstest::rstest;

use super::*;
use crate::contract::Operation;
use crate::environment::EnvironmentId;
use crate::store::tests::Database::{self, Postgres, Sqlite};
use crate::store::tests::{TemporaryDatabase, temporary};
use crate::tenancy::Restrictions;

#[rstest]
#[tokio::test]
async fn a_key_is_listed_by_its_prefix_and_its_text_is_nowhere_in_the_file(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    let key = store.create_key("acme", &KeyTerms::default()).await.unwrap();
    let listed = store.keys(None).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].tenant_name, "acme");
    assert_eq!(listed[0].id, key.id());
    assert_eq!(listed[0].revoked_at, None);

    let TemporaryDatabase::Sqlite(directory) = &store.database else {
        return;
    };
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let text = key.reveal().as_bytes();
        assert!(!bytes.windows(text.len()).any(|window| window == text));
    }
}

#[rstest]
#[tokio::test]
async fn keys_can_be_listed_for_one_tenant(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    for name in ["acme", "zebra"] {
        store.create_tenant(name, "default").await.unwrap();
        store.create_key(name, &KeyTerms::default()).await.unwrap();
    }
    let listed = store.keys(Some("zebra")).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].tenant_name, "zebra");
    assert_eq!(store.keys(None).await.unwrap().len(), 2);
}

#[rstest]
#[tokio::test]
async fn a_key_needs_a_tenant(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    let created = store
        .create_key("nobody", &KeyTerms::default())
        .await
        .unwrap_err();
    assert!(matches!(created, StoreError::NoSuchTenant(_)));
    let listed = store.keys(Some("nobody")).await.unwrap_err();
    assert!(matches!(listed, StoreError::NoSuchTenant(_)));
}

#[rstest]
#[tokio::test]
async fn a_key_is_revoked_by_its_prefix_or_its_whole_text_and_only_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    let (first, second) = (
        store.create_key("acme", &KeyTerms::default()).await.unwrap(),
        store.create_key("acme", &KeyTerms::default()).await.unwrap(),
    );
    assert_eq!(store.revoke_key(first.id().as_str()).await.unwrap(), first.id());
    assert_eq!(store.revoke_key(second.reveal()).await.unwrap(), second.id());
    let revoked = store.keys(None).await.unwrap();
    assert!(revoked.iter().all(|listed| listed.revoked_at.is_some()));

    let number = store.revision().await.unwrap();
    store.revoke_key(first.id().as_str()).await.unwrap();
    assert_eq!(store.keys(None).await.unwrap(), revoked, "the first time counts");
    assert_eq!(store.revision().await.unwrap(), number, "nothing changed");
}

#[rstest]
#[tokio::test]
async fn an_unknown_key_cannot_be_revoked_and_is_not_repeated_in_the_message(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    for key in ["sk-eg-unknown1", "sk-eg-", "", "%"] {
        let error = store.revoke_key(key).await.unwrap_err();
        assert!(matches!(error, StoreError::NoSuchKey), "{key}");
        assert!(!error.to_string().contains("unknown1"));
    }
}

#[rstest]
#[tokio::test]
async fn a_prefix_that_two_keys_share_names_neither(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    let (first, second) = (
        store.create_key("acme", &KeyTerms::default()).await.unwrap(),
        store.create_key("acme", &KeyTerms::default()).await.unwrap(),
    );
    sqlx::query("UPDATE keys SET id = $1")
        .bind(first.id().to_string())
        .execute(&store.pool)
        .await
        .unwrap();
    let error = store.revoke_key(first.id().as_str()).await.unwrap_err();
    assert!(matches!(error, StoreError::AmbiguousKey));
    store.revoke_key(second.reveal()).await.unwrap();
}

/// In whole microseconds, as the store keeps times.
fn seconds_from_now(seconds: i64) -> Timestamp {
    let time = Timestamp::now() + SignedDuration::from_secs(seconds);
    Timestamp::from_microsecond(time.as_microsecond()).unwrap()
}

fn terms() -> KeyTerms {
    KeyTerms {
        label: Some("ci, on weekdays".to_owned()),
        expires_at: Some(seconds_from_now(3600).round(jiff::Unit::Microsecond).unwrap()),
        restrictions: Restrictions::new(
            &[Operation::Update, Operation::List],
            vec![EnvironmentId::parse("env_1").unwrap()],
        ),
    }
}

#[rstest]
#[tokio::test]
async fn the_terms_of_a_key_are_listed_and_told_as_they_were_given(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    store.create_key("acme", &terms()).await.unwrap();
    let expected = KeyTerms {
        expires_at: store.keys(None).await.unwrap()[0].terms.expires_at,
        ..terms()
    };
    assert_eq!(store.keys(None).await.unwrap()[0].terms, expected);
    let told = store.changes_since(None).await.unwrap().unwrap().keys.remove(0);
    assert_eq!(told.restrictions, expected.restrictions);
    assert_eq!(told.expires_at, expected.expires_at);
}

#[rstest]
#[tokio::test]
async fn terms_that_no_key_can_have_are_refused(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    let label = |text: &str| KeyTerms {
        label: Some(text.to_owned()),
        ..KeyTerms::default()
    };
    for text in ["", "a\nb", &"x".repeat(65)] {
        let error = store.create_key("acme", &label(text)).await.unwrap_err();
        assert!(matches!(error, StoreError::BadLabel), "{text:?}");
    }
    let past = KeyTerms {
        expires_at: Some(seconds_from_now(-1)),
        ..KeyTerms::default()
    };
    let error = store.create_key("acme", &past).await.unwrap_err();
    assert!(matches!(error, StoreError::PastExpiry));
    let ids = (0..101)
        .map(|n| EnvironmentId::parse(&format!("env_{n}")).unwrap())
        .collect();
    let many = KeyTerms {
        restrictions: Restrictions::new(&[], ids),
        ..KeyTerms::default()
    };
    let error = store.create_key("acme", &many).await.unwrap_err();
    assert!(matches!(error, StoreError::TooManyEnvironments(100)));
}

#[rstest]
#[tokio::test]
async fn a_key_is_active_until_it_expires_or_is_revoked(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    let key = store.create_key("acme", &terms()).await.unwrap();
    let listed = store.keys(None).await.unwrap().remove(0);
    let expiry = listed.terms.expires_at.unwrap();
    assert_eq!(listed.state(expiry - 1.second()), KeyState::Active);
    assert_eq!(listed.state(expiry), KeyState::Expired);
    store.revoke_key(key.id().as_str()).await.unwrap();
    let listed = store.keys(None).await.unwrap().remove(0);
    assert_eq!(listed.state(expiry), KeyState::Revoked);
}

#[rstest]
#[tokio::test]
async fn a_rotated_key_passes_on_its_terms_and_ends_after_its_grace(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    let old = store.create_key("acme", &terms()).await.unwrap();
    let before = store.revision().await.unwrap();
    let grace_ends = seconds_from_now(60);
    let rotation = store
        .rotate_key(old.id().as_str(), grace_ends, None)
        .await
        .unwrap();
    assert_eq!((rotation.old, rotation.old_expires_at), (old.id(), grace_ends));

    let told = store.changes_since(Some(&before)).await.unwrap().unwrap().keys;
    assert_eq!(told.len(), 2, "running gateways learn of both");
    let listed = store.keys(None).await.unwrap();
    let find = |id: KeyId| listed.iter().find(|key| key.id == id).unwrap();
    let (old, new) = (find(old.id()), find(rotation.issued.text.id()));
    assert_eq!(*new, rotation.issued.listed);
    assert_eq!(new.terms.label, old.terms.label);
    assert_eq!(new.terms.restrictions, old.terms.restrictions);
    assert_eq!(old.state(grace_ends), KeyState::Expired);
    assert_eq!(new.state(grace_ends), KeyState::Active);
}

#[rstest]
#[tokio::test]
async fn a_rotation_never_lengthens_a_life_unless_it_says_so(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    let old = store.create_key("acme", &terms()).await.unwrap();
    let expiry = store.keys(None).await.unwrap()[0].terms.expires_at;
    let far = seconds_from_now(7200);
    let rotation = store.rotate_key(old.reveal(), far, None).await.unwrap();
    assert_eq!(Some(rotation.old_expires_at), expiry);
    assert_eq!(rotation.issued.listed.terms.expires_at, expiry);
    let rotation = store
        .rotate_key(rotation.issued.text.reveal(), far, Some(far))
        .await
        .unwrap();
    assert_eq!(rotation.issued.listed.terms.expires_at, Some(far));
}

#[rstest]
#[tokio::test]
async fn a_key_that_lets_nobody_in_is_not_rotated(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    let revoked = store.create_key("acme", &KeyTerms::default()).await.unwrap();
    store.revoke_key(revoked.reveal()).await.unwrap();
    let ended = store.create_key("acme", &KeyTerms::default()).await.unwrap();
    store
        .rotate_key(ended.reveal(), Timestamp::now(), None)
        .await
        .unwrap();
    for key in [revoked, ended] {
        let error = store
            .rotate_key(key.reveal(), seconds_from_now(60), None)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::VoidKey));
    }
    let error = store
        .rotate_key("sk-eg-unknown1", Timestamp::now(), None)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NoSuchKey));
}

#[rstest]
#[tokio::test]
async fn the_last_use_of_a_key_only_moves_forward_and_is_no_change_to_others(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    let key = store.create_key("acme", &KeyTerms::default()).await.unwrap();
    assert_eq!(store.keys(None).await.unwrap()[0].last_used_at, None);
    let number = store.revision().await.unwrap();
    let (earlier, later) = (
        Timestamp::constant(1_780_048_800, 0),
        Timestamp::constant(1_780_048_860, 0),
    );
    for used_at in [later, earlier] {
        store
            .write_last_used(vec![(key.digest(), used_at)])
            .await
            .unwrap();
        assert_eq!(store.keys(None).await.unwrap()[0].last_used_at, Some(later));
    }
    assert_eq!(store.revision().await.unwrap(), number);
}

#[rstest]
#[tokio::test]
async fn a_page_of_keys_goes_on_after_a_key_that_is_gone(#[values(Sqlite, Postgres)] database: Database) {
    let store = temporary(database).await;
    for name in ["acme", "zebra"] {
        store.create_tenant(name, "default").await.unwrap();
    }
    let mut made = Vec::new();
    for number in 0..5 {
        let terms = KeyTerms {
            label: Some(format!("key {number}")),
            ..KeyTerms::default()
        };
        made.push(store.issue_key("acme", &terms).await.unwrap().listed);
        store.create_key("zebra", &terms).await.unwrap();
    }
    let first = store.keys_after("acme", None, 2).await.unwrap();
    assert_eq!(first, made[..2], "as they were told of when they were made");
    sqlx::query("DELETE FROM keys WHERE id = $1")
        .bind(made[1].id.as_str())
        .execute(&store.pool)
        .await
        .unwrap();
    let after = Some((made[1].created_at.as_str(), made[1].id.as_str()));
    assert_eq!(store.keys_after("acme", after, 2).await.unwrap(), made[2..4]);
    let after = Some((made[3].created_at.as_str(), made[3].id.as_str()));
    assert_eq!(store.keys_after("acme", after, 2).await.unwrap(), made[4..]);
    let error = store.keys_after("nobody", None, 2).await.unwrap_err();
    assert!(matches!(error, StoreError::NoSuchTenant(name) if name == "nobody"));
}
