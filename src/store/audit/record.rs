use data_encoding::BASE32HEX_NOPAD;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::environment::Difference;
use crate::text::{NoRandomNumbers, format_timestamp, unique_bits};

/// One write of an environment, several refusals of one kind, or one change by the operator, as operators read it.
/// There is no secret in it.
///
/// Names are texts, because a record outlives the version of envgate that wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its id, made by [`AuditRecord::new_id`].
    pub id: String,
    /// When the write ended; of several, the last. In microseconds.
    #[serde(serialize_with = "serialize_time")]
    pub at: Timestamp,
    /// Whose key it was, or which tenant was changed; null where it is about none.
    #[serde(serialize_with = "serialize_tenant", deserialize_with = "deserialize_tenant")]
    pub tenant: AuditTenant,
    /// The public prefix of the key; `(the operator)` where the operator acted.
    pub key: String,
    /// Who acted: the public prefix of a tenant's key; of operators the name of their token, the subject of their
    /// certificate, or the user of their command. None in records from before it was written.
    #[serde(default)]
    pub actor: Option<String>,
    /// The address that it was asked from; of several, the last. None in records from before it was written.
    #[serde(default)]
    pub client_address: Option<String>,
    /// The name of an [`AuditOperation`](super::AuditOperation).
    pub operation: String,
    /// Which environment; none where it has no id yet or never got one.
    pub environment: Option<String>,
    /// The name of an [`AuditOutcome`](super::AuditOutcome).
    pub outcome: String,
    /// The HTTP status that the client got; none where its connection was cut off, and of an adoption.
    pub status: Option<u16>,
    /// The kind of error that the client got, `cut_off` where its connection was; none where it got none.
    pub error: Option<String>,
    /// The id of the request, the upstream's where it gave one; of several, the last.
    pub request_id: String,
    /// How many requests the record stands for: 1, or more where one refusal came again and again.
    pub repeats: u64,
    /// What changed, as [`environment::diff`](crate::environment::diff()) tells it; none where too little is
    /// known.
    pub change: Option<Difference>,
}

/// A tenant as it was at the time of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditTenant {
    /// Its id; empty for no tenant.
    pub id: String,
    /// Its name then.
    pub name: String,
}

impl AuditRecord {
    /// A new id for a record of this time: `aud_`, the time in microseconds, and 64 random bits, in base 32.
    ///
    /// # Errors
    /// Where the system has no random numbers to give.
    pub fn new_id(at: Timestamp) -> Result<String, NoRandomNumbers> {
        Ok(id(at, unique_bits()?))
    }
}

/// Of the bits the last 64.
fn id(at: Timestamp, bits: u128) -> String {
    // No record is from before 1970.
    let micros = u128::try_from(at.as_microsecond()).unwrap_or_default();
    let bytes = (micros << 64 | bits & u128::from(u64::MAX)).to_be_bytes();
    format!("{PREFIX}{}", BASE32HEX_NOPAD.encode(&bytes))
}

const PREFIX: &str = "aud_";

/// Of no tenant nothing is shown.
fn serialize_tenant<S: Serializer>(tenant: &AuditTenant, serializer: S) -> Result<S::Ok, S::Error> {
    Some(tenant)
        .filter(|tenant| !tenant.id.is_empty())
        .serialize(serializer)
}

fn deserialize_tenant<'de, D: Deserializer<'de>>(deserializer: D) -> Result<AuditTenant, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// In the form that the store and the admin API tell times in, always as long.
fn serialize_time<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_timestamp(*at))
}

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
        }
    }
}
