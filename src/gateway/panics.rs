use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use prometheus::IntCounter;

use crate::contract::ApiError;

/// The border that no panic crosses: the request fails, the worker and its other connections go on. The
/// panic's own message has gone to standard error by then.
pub(super) fn without_panic<T>(
    exchange: impl Future<Output = Result<T, ApiError>>,
    panics: &IntCounter,
) -> impl Future<Output = Result<T, ApiError>> {
    AssertUnwindSafe(exchange).catch_unwind().map(|outcome| {
        outcome.unwrap_or_else(|_panic| {
            panics.inc();
            Err(ApiError::Internal)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Dialect;
    use crate::gateway::response;

    #[tokio::test]
    async fn a_panic_is_counted_and_answered_500_in_the_envelope() {
        let panics = IntCounter::new("panics", "panics").unwrap();
        let error = without_panic::<()>(async { panic!("a fault of the gateway") }, &panics)
            .await
            .unwrap_err();
        assert_eq!(panics.get(), 1);
        let answer = response::of_error(&error, &Dialect::SANDBASE, "req_1");
        assert_eq!(answer.status, 500);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["error"]["type"], "api_error");
        assert!(!body.to_string().contains("a fault of the gateway"), "{body}");
        let advice = answer.headers.iter().find(|(name, _)| name == "x-should-retry");
        assert_eq!(advice.unwrap().1, "false", "nobody knows how far it came");
    }

    #[tokio::test]
    async fn what_does_not_panic_passes() {
        let panics = IntCounter::new("panics", "panics").unwrap();
        assert_eq!(without_panic(async { Ok(7) }, &panics).await.unwrap(), 7);
        assert_eq!(panics.get(), 0);
    }
}
