use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::contract::{ApiError, AuthenticationFailure, CredentialHeader};

/// The key that a client sent, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential<'h> {
    /// The key as it came.
    pub key: &'h [u8],
    /// The header that it came in; the first of both.
    pub header: CredentialHeader,
}

/// Finds the key that a client sent, in `Authorization: Bearer` or `X-Api-Key`. Both may come with the same
/// key, as official clients do when they are configured twice.
///
/// # Errors
/// [`ApiError::Unauthenticated`]: missing, malformed, or two that differ.
///
/// ```
/// use envgate::tenancy::credential;
/// use http::HeaderMap;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("authorization", "Bearer sk-eg-1".parse().unwrap());
/// assert_eq!(credential(&headers).unwrap().key, b"sk-eg-1");
/// ```
pub fn credential(headers: &HeaderMap) -> Result<Credential<'_>, ApiError> {
    let refused = |failure| Err(ApiError::unauthenticated(failure));
    let bearer = match only(headers, CredentialHeader::Authorization)? {
        Some(value) => match bearer_token(value) {
            Some(token) => Some(token),
            None => return refused(AuthenticationFailure::Malformed),
        },
        None => None,
    };
    let (key, header) = match (bearer, only(headers, CredentialHeader::ApiKey)?) {
        (None, None) => return refused(AuthenticationFailure::Missing),
        (Some(one), Some(other)) if one != other => return refused(AuthenticationFailure::Conflicting),
        (Some(key), _) => (key, CredentialHeader::Authorization),
        (None, Some(key)) => (key, CredentialHeader::ApiKey),
    };
    Ok(Credential { key, header })
}

fn only(headers: &HeaderMap, header: CredentialHeader) -> Result<Option<&[u8]>, ApiError> {
    let name = match header {
        CredentialHeader::Authorization => AUTHORIZATION.as_str(),
        CredentialHeader::ApiKey => "x-api-key",
    };
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(ApiError::unauthenticated(AuthenticationFailure::Repeated(header))),
        (Some(value), None) if value.is_empty() => Ok(None),
        (value, None) => Ok(value.map(http::HeaderValue::as_bytes)),
    }
}

/// The token of an `Authorization` header with the scheme Bearer, which is compared without case (RFC 9110
/// §11.1).
///
/// ```
/// use envgate::tenancy::bearer_token;
///
/// assert_eq!(bearer_token(b"bearer sk-eg-1"), Some(&b"sk-eg-1"[..]));
/// assert_eq!(bearer_token(b"Basic c2stZWctMQ"), None);
/// ```
#[must_use]
pub fn bearer_token(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(headers: &[(&'static str, &'static str)]) -> Result<String, AuthenticationFailure> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value): (http::HeaderName, http::HeaderValue)| {
            map.append(name, value);
        });
        match credential(&map) {
            Ok(credential) => Ok(String::from_utf8(credential.key.to_vec()).unwrap()),
            Err(ApiError::Unauthenticated { failure, .. }) => Err(failure),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn either_header_carries_the_key() {
        assert_eq!(found(&[("authorization", "Bearer k")]), Ok("k".to_owned()));
        assert_eq!(found(&[("authorization", "bearer k")]), Ok("k".to_owned()));
        assert_eq!(found(&[("x-api-key", "k")]), Ok("k".to_owned()));
        assert_eq!(
            found(&[("authorization", "Bearer k"), ("x-api-key", "k")]),
            Ok("k".to_owned())
        );
    }

    #[test]
    fn anything_ambiguous_is_refused() {
        for (headers, failure) in [
            (&[][..], AuthenticationFailure::Missing),
            (&[("x-api-key", "")], AuthenticationFailure::Missing),
            (
                &[("authorization", "Basic abc")],
                AuthenticationFailure::Malformed,
            ),
            (&[("authorization", "Bearer ")], AuthenticationFailure::Malformed),
            (
                &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
                AuthenticationFailure::Repeated(CredentialHeader::Authorization),
            ),
            (
                &[("x-api-key", "a"), ("x-api-key", "a")],
                AuthenticationFailure::Repeated(CredentialHeader::ApiKey),
            ),
            (
                &[("authorization", "Bearer a"), ("x-api-key", "b")],
                AuthenticationFailure::Conflicting,
            ),
        ] {
            assert_eq!(found(headers), Err(failure), "{headers:?}");
        }
    }
}
