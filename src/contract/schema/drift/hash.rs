//! The arithmetic of fingerprints: fast, the same for the same input, and no secret.

/// Two odd numbers without a pattern.
const A: u64 = 0x9e37_79b9_7f4a_7c15;
const B: u64 = 0xd6e8_feb8_6659_fd93;

/// Two numbers become one that depends on both and on their order.
#[inline]
pub(super) fn mix(first: u64, second: u64) -> u64 {
    let product = u128::from(first ^ A) * u128::from(second ^ B);
    // Both halves fit.
    let low = u64::try_from(product & u128::from(u64::MAX)).unwrap_or_default();
    let high = u64::try_from(product >> 64).unwrap_or_default();
    low ^ high.wrapping_add(first)
}

/// Bytes as one number.
#[inline]
pub(super) fn hash_bytes(bytes: &[u8]) -> u64 {
    hash_words(bytes, |word| word)
}

/// The form of a text as one number: which digits and letters there are makes no difference, only where.
#[inline]
pub(super) fn hash_form(text: &[u8]) -> u64 {
    hash_words(text, |word| u64::from_le_bytes(word.to_le_bytes().map(form_of)))
}

/// What a character of a text's form is: any digit is `0`, any letter `a` or `A`.
#[inline]
pub(super) const fn form_of(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => b'0',
        b'a'..=b'z' | 0x80.. => b'a',
        b'A'..=b'Z' => b'A',
        other => other,
    }
}

#[inline]
fn hash_words(bytes: &[u8], change: impl Fn(u64) -> u64) -> u64 {
    let mut hash = u64::try_from(bytes.len()).unwrap_or_default();
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk() {
        hash = mix(hash, change(u64::from_le_bytes(*word)));
        rest = after;
    }
    let last = rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    mix(hash, change(last))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_differs_in_a_byte_or_in_length_has_another_number() {
        let texts = [
            "",
            "\0",
            "a",
            "b",
            "aa",
            "a\0",
            "abcdefgh",
            "abcdefgh\0",
            "abcdefgi",
            "abcdefghi",
        ];
        let hashes: HashSet<_> = texts.iter().map(|text| hash_bytes(text.as_bytes())).collect();
        assert_eq!(hashes.len(), texts.len());
        assert_ne!(mix(1, 2), mix(2, 1));
    }

    #[test]
    fn times_of_one_form_have_one_number() {
        let form = |text: &str| hash_form(text.as_bytes());
        assert_eq!(form("2026-11-26T19:25:00Z"), form("1999-01-31T00:00:59Z"));
        assert_ne!(form("2026-11-26T19:25:00Z"), form("2026-11-26T19:25:00z"));
        assert_ne!(form("2026-11-26T19:25:00Z"), form("2026-11-26T19:25:00.1Z"));
        assert_ne!(form("2026-11-26T19:25:00Z"), form("2026-11-26 19:25:00Z"));
    }
}
