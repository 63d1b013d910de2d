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
    hash_words(text, form_of_word)
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

/// The same of eight characters at once.
#[inline]
fn form_of_word(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHEST: u64 = ONES * 0x80;
    /// Puts `first` in the place of each byte from it to `last`. All are below 128.
    const fn merged(word: u64, first: u64, last: u64) -> u64 {
        let (is_from_first, is_after_last) = (word + ONES * (0x80 - first), word + ONES * (0x7f - last));
        let is_between = (is_from_first & !is_after_last & HIGHEST) >> 7;
        (word & !(is_between * 0xff)) | (is_between * first)
    }
    if word & HIGHEST != 0 {
        return u64::from_le_bytes(word.to_le_bytes().map(form_of));
    }
    merged(merged(merged(word, 0x30, 0x39), 0x61, 0x7a), 0x41, 0x5a)
}

#[inline]
fn hash_words(bytes: &[u8], change: impl Fn(u64) -> u64) -> u64 {
    let mut hash = u64::try_from(bytes.len()).unwrap_or_default();
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk() {
        hash = mix(hash, change(u64::from_le_bytes(*word)));
        rest = after;
    }
    mix(hash, change(last_word(bytes, rest)))
}

/// What `rest` holds, the end of `bytes` that is shorter than a word. Where there is a word before it, with some of that.
#[inline]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk() {
        return u64::from_le_bytes(*last);
    }
    match (rest.first_chunk(), rest.last_chunk()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        _ => rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
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
    fn eight_characters_at_once_are_what_they_are_alone() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut bytes = *b"aZ0-.~\0\x7f";
                bytes[place] = byte;
                let alone = u64::from_le_bytes(bytes.map(form_of));
                assert_eq!(form_of_word(u64::from_le_bytes(bytes)), alone, "{bytes:?}");
            }
        }
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
