use unicode_width::UnicodeWidthChar;

/// A text as a terminal may get it: what steers one, turns the direction of writing or takes no room is escaped.
pub(super) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character.width() {
            Some(1..) => shown.push(character),
            Some(0) | None => shown.extend(character.escape_default()),
        }
    }
    shown
}

/// A printable text in exactly so many columns: cut off with a tilde where it is longer, else filled up, on its left
/// where it `is_number`.
pub(super) fn fit(text: &str, columns: usize, is_number: bool) -> String {
    let width = |character: char| character.width().unwrap_or_default();
    let total: usize = text.chars().map(width).sum();
    let mut shown = String::new();
    let mut taken = 0;
    if total <= columns {
        shown.push_str(text);
        taken = total;
    } else if columns > 0 {
        for character in text.chars() {
            if taken + width(character) >= columns {
                break;
            }
            shown.push(character);
            taken += width(character);
        }
        shown.push('~');
        taken += 1;
    }
    let filling = " ".repeat(columns - taken);
    match is_number {
        true => filling + &shown,
        false => shown + &filling,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_other_alphabets_are_not() {
        for (text, expected) in [
            ("acme", "acme"),
            ("für 東京", "für 東京"),
            ("\u{1b}[2Jx", "\\u{1b}[2Jx"),
            ("a\nb\u{202e}c\u{9b}", "a\\nb\\u{202e}c\\u{9b}"),
        ] {
            assert_eq!(printable(text), expected);
        }
    }

    #[test]
    fn a_text_takes_just_the_columns_that_there_are() {
        for (text, columns, expected) in [
            ("acme", 6, "acme  "),
            ("acme", 4, "acme"),
            ("acme", 3, "ac~"),
            ("acme", 0, ""),
            ("東京都", 6, "東京都"),
            ("東京都", 5, "東京~"),
            ("東京都", 4, "東~ "),
        ] {
            assert_eq!(fit(text, columns, false), expected);
        }
        assert_eq!(fit("7", 3, true), "  7");
    }
}
