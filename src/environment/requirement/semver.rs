//! Versions of three numbers, as cargo, go and npm write them: <https://semver.org>.

/// Whether a text is one whole version, such as `1.2.3-rc.1+linux`.
pub(super) fn is_exact(text: &str) -> bool {
    let (text, build) = split_at_sign(text, '+');
    let (numbers, pre_release) = split_at_sign(text, '-');
    let mut parts = numbers.split('.');
    let is_whole = parts.by_ref().take(3).filter(|part| is_number(part)).count() == 3;
    is_whole
        && parts.next().is_none()
        && pre_release.is_none_or(|text| is_identifiers(text, has_no_leading_zero))
        && build.is_none_or(|text| is_identifiers(text, |_| true))
}

fn split_at_sign(text: &str, sign: char) -> (&str, Option<&str>) {
    text.split_once(sign)
        .map_or((text, None), |(before, after)| (before, Some(after)))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok() && has_no_leading_zero(text)
}

/// Whether a text is no number, or one that is written as numbers are.
fn has_no_leading_zero(text: &str) -> bool {
    text == "0" || !text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_identifiers(text: &str, is_legal: impl Fn(&str) -> bool) -> bool {
    let is_identifier = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && is_legal(part)
    };
    text.split('.').all(is_identifier)
}

/// Whether a text has the characters of a version or of a range without spaces, such as `^1.2`, `1.x` or
/// `>=1,<2`.
pub(super) fn is_range(text: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphanumeric() || b"^~<>=*".contains(&byte);
    let is_inner = |byte: u8| is_start(byte) || b".+,-".contains(&byte);
    let is_end = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'*';
    text.bytes().next().is_some_and(is_start)
        && text.bytes().next_back().is_some_and(is_end)
        && text.bytes().all(is_inner)
}
