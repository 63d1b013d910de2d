use crate::store::StoreError;
use crate::store::tests::temporary;

#[tokio::test]
async fn a_key_is_listed_by_its_prefix_and_its_text_is_nowhere_in_the_file() {
    let store = temporary().await;
    store.create_tenant("acme", "default").await.unwrap();
    let key = store.create_key("acme").await.unwrap();
    let listed = store.keys(None).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].tenant_name, "acme");
    assert_eq!(listed[0].key.id, key.id());
    assert_eq!(listed[0].key.revoked_at, None);

    for file in std::fs::read_dir(store.directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let text = key.reveal().as_bytes();
        assert!(!bytes.windows(text.len()).any(|window| window == text));
    }
}

#[tokio::test]
async fn keys_can_be_listed_for_one_tenant() {
    let store = temporary().await;
    for name in ["acme", "zebra"] {
        store.create_tenant(name, "default").await.unwrap();
        store.create_key(name).await.unwrap();
    }
    let listed = store.keys(Some("zebra")).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].tenant_name, "zebra");
    assert_eq!(store.keys(None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_needs_a_tenant() {
    let store = temporary().await;
    let created = store.create_key("nobody").await.unwrap_err();
    assert!(matches!(created, StoreError::NoSuchTenant(_)));
    let listed = store.keys(Some("nobody")).await.unwrap_err();
    assert!(matches!(listed, StoreError::NoSuchTenant(_)));
}

#[tokio::test]
async fn a_key_is_revoked_by_its_prefix_or_its_whole_text_and_only_once() {
    let store = temporary().await;
    store.create_tenant("acme", "default").await.unwrap();
    let (first, second) = (
        store.create_key("acme").await.unwrap(),
        store.create_key("acme").await.unwrap(),
    );
    assert_eq!(store.revoke_key(&first.id().0).await.unwrap(), first.id());
    assert_eq!(store.revoke_key(second.reveal()).await.unwrap(), second.id());
    let revoked = store.keys(None).await.unwrap();
    assert!(revoked.iter().all(|listed| listed.key.revoked_at.is_some()));

    let number = store.change_number().await.unwrap();
    store.revoke_key(&first.id().0).await.unwrap();
    assert_eq!(store.keys(None).await.unwrap(), revoked, "the first time counts");
    assert_eq!(store.change_number().await.unwrap(), number, "nothing changed");
}

#[tokio::test]
async fn an_unknown_key_cannot_be_revoked_and_is_not_repeated_in_the_message() {
    let store = temporary().await;
    for key in ["sk-eg-unknown1", "sk-eg-", "", "%"] {
        let error = store.revoke_key(key).await.unwrap_err();
        assert!(matches!(error, StoreError::NoSuchKey), "{key}");
        assert!(!error.to_string().contains("unknown1"));
    }
}

#[tokio::test]
async fn a_prefix_that_two_keys_share_names_neither() {
    let store = temporary().await;
    store.create_tenant("acme", "default").await.unwrap();
    let (first, second) = (
        store.create_key("acme").await.unwrap(),
        store.create_key("acme").await.unwrap(),
    );
    sqlx::query("UPDATE keys SET id = $1")
        .bind(first.id().0)
        .execute(&store.pool)
        .await
        .unwrap();
    let error = store.revoke_key(&first.id().0).await.unwrap_err();
    assert!(matches!(error, StoreError::AmbiguousKey));
    store.revoke_key(second.reveal()).await.unwrap();
}
