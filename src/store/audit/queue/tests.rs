use bytes::Bytes;

use super::*;
use crate::environment::EnvironmentId;
use crate::store::Documents;
use crate::store::audit::tests::{entry, refusal, tenant};

fn audit() -> (Audit, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    (Audit::new(Arc::clone(&metrics)), metrics)
}

fn write_of(tenant_id: &str) -> AuditEntry {
    AuditEntry {
        tenant: Arc::new(tenant(tenant_id)),
        ..entry()
    }
}

fn refusal_of(tenant_id: &str, environment: usize) -> AuditEntry {
    AuditEntry {
        tenant: Arc::new(tenant(tenant_id)),
        environment: EnvironmentId::parse(&format!("env_{environment}")).ok(),
        ..refusal()
    }
}

fn of_tenant(entries: &[AuditEntry], tenant_id: &str) -> usize {
    entries
        .iter()
        .filter(|entry| entry.tenant.id.0 == tenant_id)
        .count()
}

#[test]
fn thousands_of_refusals_of_one_tenant_keep_no_record_of_another_out() {
    let (audit, metrics) = audit();
    for number in 0..20_000 {
        audit.note(refusal_of("ten_flood", number));
    }
    for number in 0..50 {
        audit.note(write_of("ten_2"));
        audit.note(refusal_of("ten_2", number));
    }
    let entries = audit.0.take(Instant::now());
    assert_eq!(of_tenant(&entries, "ten_2"), 100);
    assert_eq!(of_tenant(&entries, "ten_flood"), 257, "and the rest is counted");
    let counted: u64 = audit.0.close().iter().map(|entry| entry.repeats).sum();
    assert_eq!(counted, 20_000 - 257);
    assert_eq!(metrics.audit_dropped.get(), 0);
}

#[test]
fn writes_of_one_tenant_that_fit_no_more_are_counted_and_those_of_others_fit() {
    let (audit, metrics) = audit();
    for _ in 0..MAX_WRITES_OF_ONE_TENANT + 10 {
        audit.note(write_of("ten_1"));
    }
    audit.note(write_of("ten_2"));
    assert_eq!(metrics.audit_dropped.get(), 10);
    assert_eq!(audit.0.lost_writes(), 10);
    let taken = audit.0.take(Instant::now());
    assert_eq!(of_tenant(&taken, "ten_2"), 1);

    audit.note(write_of("ten_1"));
    assert_eq!(
        metrics.audit_dropped.get(),
        11,
        "what was taken is not in the store yet"
    );
    let size = Size {
        is_refusal: false,
        document_bytes: 0,
    };
    audit.0.release("ten_1", size);
    audit.note(write_of("ten_1"));
    assert_eq!(metrics.audit_dropped.get(), 11);
}

#[test]
fn documents_that_would_be_too_much_together_are_left_out_and_their_records_stay() {
    let (audit, metrics) = audit();
    let document = Bytes::from(vec![b' '; 100 * 1024]);
    for _ in 0..1000 {
        audit.note(AuditEntry {
            documents: Documents::new(Some(document.clone()), None),
            ..entry()
        });
    }
    let entries = audit.0.take(Instant::now());
    assert_eq!(entries.len(), 1000);
    let kept: usize = entries.iter().map(|entry| entry.documents.kept_bytes()).sum();
    assert_eq!(kept, 327 * document.len());
    assert_eq!(metrics.audit_dropped.get(), 0);
}

#[test]
fn what_comes_after_the_end_is_counted() {
    let (audit, metrics) = audit();
    audit.note(write_of("ten_1"));
    assert_eq!(audit.0.close().len(), 1);
    audit.note(write_of("ten_1"));
    assert_eq!(metrics.audit_dropped.get(), 1);
    assert_eq!(audit.0.lost_writes(), 1);
}
