use data_encoding::BASE32HEX_NOPAD;
use jiff::Timestamp;
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde_json::Value;

/// One write of an environment, or several refusals of one kind, as operators read it. There is no secret in it.
///
/// Names are texts, because a record outlives the version of envgate that wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditRecord {
    /// Its id, made by [`AuditRecord::new_id`]: the order of ids is the order of time.
    pub id: String,
    /// When the write ended; of several, the last. In microseconds.
    pub at: Timestamp,
    /// Whose key it was.
    pub tenant: AuditTenant,
    /// The public prefix of the key.
    pub key: String,
    /// The name of the operation, `update` for instance.
    pub operation: String,
    /// Which environment; none where it has no id yet or never got one.
    pub environment: Option<String>,
    /// The name of an [`AuditOutcome`](super::AuditOutcome).
    pub outcome: String,
    /// The HTTP status that the client got; none where its connection was cut off.
    pub status: Option<u16>,
    /// The kind of error that the client got, `cut_off` where its connection was; none where it got none.
    pub error: Option<String>,
    /// The id of the request, the upstream's where it gave one; of several, the last.
    pub request_id: String,
    /// How many requests the record stands for: 1, or more where one refusal came again and again.
    pub repeats: u64,
    /// What changed, as [`environment::diff`](crate::environment::diff()) tells it; none where too little is known.
    pub change: Option<Value>,
}

/// A tenant as it was at the time of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditTenant {
    /// Its id.
    pub id: String,
    /// Its name then.
    pub name: String,
}

impl AuditRecord {
    /// A new id for a record of this time: `aud_`, the time in microseconds, and 64 random bits, in base 32.
    ///
    /// # Errors
    /// Where the system has no random numbers to give.
    pub fn new_id(at: Timestamp) -> Result<String, Unspecified> {
        let mut random = [0; 8];
        SystemRandom::new().fill(&mut random)?;
        Ok(id(at, random))
    }
}

/// The least id that a record of this time or later can have.
pub(super) fn least_id(at: Timestamp) -> String {
    id(at, [0; 8])
}

/// Whether a text has the form of an id.
pub(super) fn is_id(text: &str) -> bool {
    let encoded = text.strip_prefix(PREFIX).map(str::as_bytes);
    encoded.is_some_and(|encoded| {
        BASE32HEX_NOPAD
            .decode(encoded)
            .is_ok_and(|bytes| bytes.len() == 16)
    })
}

fn id(at: Timestamp, random: [u8; 8]) -> String {
    // No record is from before 1970.
    let micros = u64::try_from(at.as_microsecond()).unwrap_or_default();
    let bytes = [micros.to_be_bytes(), random].concat();
    format!("{PREFIX}{}", BASE32HEX_NOPAD.encode(&bytes))
}

const PREFIX: &str = "aud_";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_order_of_ids_is_that_of_times(one in 0_i64..1 << 52, other in 0_i64..1 << 52) {
            let [one, other] = [one, other].map(|micros| Timestamp::from_microsecond(micros).unwrap());
            let ids = [one, other].map(|at| AuditRecord::new_id(at).unwrap());
            if one != other {
                prop_assert_eq!(ids[0] < ids[1], one < other);
            }
            prop_assert!(least_id(one) <= ids[0]);
            prop_assert!(ids.iter().all(|id| is_id(id)));
        }

        #[test]
        fn a_text_that_was_made_up_is_no_id(text in "(aud_)?\\PC{0,30}") {
            prop_assume!(text.len() != 30);
            prop_assert!(!is_id(&text));
        }
    }
}
