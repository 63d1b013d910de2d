//! How a request body may be labelled.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::ApiError;

const NOT_JSON: ApiError =
    ApiError::UnsupportedMediaType("the body must be JSON: send Content-Type: application/json");

/// Whether the body can be JSON, as far as the header tells. Clients label JSON in several ways, `curl -d` as
/// a form, so the label is only refused where it is sure to be something else. A charset says nothing of JSON
/// (RFC 8259), whatever it names; what is not UTF-8 is refused for what it is, once it is read.
///
/// # Errors
/// [`ApiError::UnsupportedMediaType`] or [`ApiError::UnsupportedContentEncoding`]
pub fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_identity = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if !headers.get_all(CONTENT_ENCODING).iter().all(is_identity) {
        return Err(ApiError::UnsupportedContentEncoding);
    }
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(_), Some(_)) => Err(ApiError::UnsupportedMediaType("Content-Type came twice")),
        (Some(value), None) if value.to_str().is_ok_and(can_be_json) => Ok(()),
        (Some(_), None) => Err(NOT_JSON),
    }
}

fn can_be_json(value: &str) -> bool {
    if value == "application/json" {
        return true;
    }
    let essence = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    matches!(
        essence.as_str(),
        "application/json" | "text/plain" | "application/x-www-form-urlencoded"
    ) || essence
        .split_once('/')
        .is_some_and(|(kind, subtype)| !kind.is_empty() && subtype.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(content_type: &str) -> Result<(), ApiError> {
        check_media_type(&HeaderMap::from_iter([(
            CONTENT_TYPE,
            content_type.parse().unwrap(),
        )]))
    }

    #[test]
    fn labels_that_json_goes_by_are_taken_whatever_charset_they_name() {
        for label in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json; charset=utf8",
            "application/json;charset=\"iso-8859-1\"",
            "application/merge-patch+json",
            "text/plain;charset=us-ascii",
            "application/x-www-form-urlencoded",
        ] {
            assert!(checked(label).is_ok(), "{label}");
        }
        assert!(check_media_type(&HeaderMap::new()).is_ok());
    }

    #[test]
    fn labels_of_something_else_are_refused() {
        for label in [
            "",
            "application/xml",
            "multipart/form-data; boundary=x",
            "json",
            "text/html",
            "/+json",
        ] {
            assert!(
                matches!(checked(label), Err(ApiError::UnsupportedMediaType(_))),
                "{label}"
            );
        }
    }

    #[test]
    fn a_body_is_encoded_as_itself_or_not_at_all() {
        let encoded = |encodings: &[&'static str]| {
            let values = encodings
                .iter()
                .map(|value| (CONTENT_ENCODING, HeaderValue::from_static(value)));
            let mut headers = HeaderMap::new();
            values.for_each(|(name, value)| {
                headers.append(name, value);
            });
            check_media_type(&headers)
        };
        assert!(encoded(&["identity"]).is_ok());
        assert!(encoded(&["Identity "]).is_ok());
        for encodings in [&["gzip"][..], &["identity", "br"], &["identity, gzip"], &[""]] {
            let error = encoded(encodings).unwrap_err();
            let answer = error.answer(&crate::contract::Dialect::SANDBASE, "req_1");
            assert_eq!(answer.status, 415, "{encodings:?}");
            let accepts = (
                http::header::ACCEPT_ENCODING,
                HeaderValue::from_static("identity"),
            );
            assert!(answer.headers.contains(&accepts), "{encodings:?}");
        }
    }
}
