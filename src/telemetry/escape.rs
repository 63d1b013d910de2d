use std::fmt::Write as _;

/// The text with escapes for what ends a line, steers a terminal or turns the direction of writing; none
/// where it has nothing of that.
pub(super) fn escape(text: &[u8]) -> Option<String> {
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
    if text.iter().all(is_plain) {
        return None;
    }
    let text = String::from_utf8_lossy(text);
    let is_harmful = |character: char| {
        character.is_control() || matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_harmful) {
        return None;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_harmful(character) {
            // A String takes all.
            let _ = write!(escaped, "{}", character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    Some(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_break_a_line_is_escaped_and_nothing_else() {
        for (text, expected) in [
            ("plain", None),
            ("für alle 東京 ✓", None),
            ("a\nb\r\tc", Some(r"a\nb\r\tc")),
            ("\u{1b}[31mred\u{7f}", Some(r"\u{1b}[31mred\u{7f}")),
            ("c1\u{85}ü", Some(r"c1\u{85}ü")),
            (
                "\u{2028}line\u{202e}turned\u{2066}",
                Some(r"\u{2028}line\u{202e}turned\u{2066}"),
            ),
        ] {
            assert_eq!(escape(text.as_bytes()).as_deref(), expected, "{text:?}");
        }
    }
}
