use rstest::rstest;
use serde_json::json;

use super::*;
use crate::store::AuditQuery;
use crate::store::tests::{Database, temporary};

fn operator() -> Operator {
    Operator {
        name: "admin.tokens.ci".to_owned(),
        client_address: Some([192, 0, 2, 7].into()),
    }
}

async fn records(store: &Store) -> Vec<AuditRecord> {
    let all = AuditQuery {
        limit: 100,
        ..AuditQuery::default()
    };
    let mut records = store.audit(&all).await.unwrap();
    records.reverse();
    records
}

#[rstest]
#[tokio::test]
async fn each_change_of_tenants_and_keys_is_recorded_with_who_made_it(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let store = temporary(database).await;
    let operated = store.operated_by(operator(), None);
    let tenant = operated.create_tenant("acme", "default").await.unwrap();
    operated
        .change_tenant(None, "acme", Some("gold"), Some(true))
        .await
        .unwrap();
    let terms = KeyTerms {
        label: Some("ci".to_owned()),
        ..KeyTerms::default()
    };
    let key = operated.issue_key("acme", &terms).await.unwrap();
    let id = key.listed.id;
    let rotation = operated
        .rotate_key(key.text.reveal(), Timestamp::constant(4_000_000_000, 0), None)
        .await
        .unwrap();
    let new = rotation.issued.listed.id;
    operated.revoke_key(new.as_str()).await.unwrap();
    operated.revoke_key(new.as_str()).await.unwrap();
    operated.delete_tenant("acme").await.unwrap();

    let records = records(&store).await;
    let operations: Vec<_> = records.iter().map(|record| record.operation.as_str()).collect();
    assert_eq!(
        operations,
        [
            "create_tenant",
            "update_tenant",
            "create_key",
            "rotate_key",
            "revoke_key",
            "delete_tenant"
        ],
        "and what changes nothing is none"
    );
    for record in &records {
        assert_eq!(record.actor.as_deref(), Some("admin.tokens.ci"));
        assert_eq!(record.client_address.as_deref(), Some("192.0.2.7"));
        assert_eq!(
            (&record.tenant.id, record.tenant.name.as_str()),
            (&tenant.id.0, "acme")
        );
        assert_eq!(
            (record.outcome.as_str(), record.key.as_str()),
            ("ok", "(the operator)")
        );
        let written = json!(record).to_string();
        for text in [&key.text, &rotation.issued.text] {
            assert!(!written.contains(text.reveal()), "{written}");
        }
    }
    let change = |index: usize| json!(records[index].change.as_ref().unwrap());
    assert_eq!(
        change(0),
        json!([{"op": "add", "path": "", "value": {"name": "acme", "plan": "default", "suspended": false}}])
    );
    assert_eq!(
        change(1),
        json!([
            {"op": "test", "path": "/plan", "value": "default"},
            {"op": "replace", "path": "/plan", "value": "gold"},
            {"op": "test", "path": "/suspended", "value": false},
            {"op": "replace", "path": "/suspended", "value": true},
        ])
    );
    let shown = json!({"label": "ci", "expires_at": null, "operations": null, "environments": null});
    assert_eq!(
        change(2),
        json!([{"op": "add", "path": format!("/{id}"), "value": shown}])
    );
    let rotated = change(3).to_string();
    assert!(
        rotated.contains("2096-10-02") && rotated.contains(&format!("/{new}")),
        "{rotated}"
    );
    assert!(change(4).to_string().contains(&format!("/{new}/revoked_at")));
    assert_eq!(change(5)[1], json!({"op": "remove", "path": ""}));
}

#[rstest]
#[tokio::test]
async fn what_fails_or_is_nobodys_leaves_no_record_and_records_are_forgotten_in_time(
    #[values(Database::Sqlite, Database::Postgres)] database: Database,
) {
    let store = temporary(database).await;
    store.create_tenant("acme", "default").await.unwrap();
    let operated = store.operated_by(operator(), None);
    assert!(operated.create_tenant("acme", "default").await.is_err());
    assert!(operated.delete_tenant("nobody").await.is_err());
    assert!(operated.revoke_key("sk-eg-12345678").await.is_err());
    assert_eq!(records(&store).await, []);

    operated.set_tenant_suspended("acme", true).await.unwrap();
    assert_eq!(records(&store).await.len(), 1);
    let later = Timestamp::now() + jiff::SignedDuration::from_hours(1);
    assert_eq!(store.forget_audit(later).await.unwrap(), 1);
    assert_eq!(records(&store).await, []);
}

#[test]
fn a_record_of_no_tenant_says_so_and_is_read_back_from_a_spool() {
    let entry = entry(&operator(), AuditOperation::Reload, nobody(), None).unwrap();
    let record = entry.record("envgate:tenant").unwrap();
    let written = json!(record);
    assert_eq!(written["tenant"], Value::Null);
    assert_eq!(written["operation"], "reload");
    assert_eq!(serde_json::from_value::<AuditRecord>(written).unwrap(), record);
}
