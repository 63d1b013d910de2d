//! A cursor is opened only where it was sealed, for the list that it was sealed for, and whole.

use envgate::text::CursorSealer;

const SCOPE: [&str; 2] = ["ten_1", "default"];

pub(super) fn check(bytes: &[u8]) {
    let sealer = CursorSealer::new(&[7; 32]).unwrap();
    let text = String::from_utf8_lossy(bytes);
    assert_eq!(
        sealer.open::<serde_json::Value>(&text, &SCOPE),
        None,
        "nobody sealed it"
    );

    let position = (text.clone().into_owned(), bytes.len());
    let cursor = sealer.seal(&position, &SCOPE).unwrap();
    assert_eq!(sealer.open(&cursor, &SCOPE), Some(position));
    assert!(
        cursor
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    );
    assert_eq!(
        sealer.open::<(String, usize)>(&cursor, &["ten_2", "default"]),
        None
    );

    // One character another, or the rest cut off, as the bytes say.
    let at = bytes.iter().fold(0, |sum: usize, byte| {
        sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    let at = at % cursor.len();
    let mut altered = cursor.clone().into_bytes();
    altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    assert_eq!(
        sealer.open::<(String, usize)>(&altered, &SCOPE),
        None,
        "{at} of {cursor}"
    );
    assert_eq!(sealer.open::<(String, usize)>(&cursor[..at], &SCOPE), None);
}
