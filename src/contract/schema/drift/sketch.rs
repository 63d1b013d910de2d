//! What a report may show of a reply: names and types, and of values nothing that could be somebody's.

use std::fmt::Write as _;

use super::hash::form_of;
use crate::text::Scanner;

/// How many characters of a name or of a value are shown.
const SHOWN_CHARACTERS: usize = 64;
/// How many members or elements are, of each object or list.
const SHOWN_MEMBERS: usize = 8;
/// How deep.
const SHOWN_DEPTH: usize = 3;

/// A text of the upstream's, cut and without what a terminal or a log could take for something else.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == SHOWN_CHARACTERS {
            shown.push('…');
            break;
        }
        if is_plain(character) {
            shown.push(character);
        } else {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
        }
    }
    shown
}

/// Whether a character is one to be seen, and moves no others.
fn is_plain(character: char) -> bool {
    let is_invisible = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !character.is_control() && !is_invisible
}

/// The form of a string: 0 for each digit, a or A for each letter.
pub(super) fn form(text: &str) -> String {
    let form = text
        .bytes()
        .take(SHOWN_CHARACTERS)
        .map(|byte| char::from(form_of(byte)));
    shown(&form.collect::<String>())
}

/// What a value is made of: strings are `"…"`, numbers 0. The text must be good JSON.
pub(super) fn sketch(text: &str) -> String {
    let mut sketch = String::new();
    draw(text, SHOWN_DEPTH, &mut sketch);
    sketch
}

fn draw(text: &str, depth: usize, sketch: &mut String) {
    let mut count = 0;
    match text.as_bytes().first() {
        Some(b'"') => sketch.push_str("\"…\""),
        Some(b'{') if depth > 0 => {
            sketch.push('{');
            Scanner::new(text).object(|member| {
                count += 1;
                if count <= SHOWN_MEMBERS {
                    separate(count, sketch);
                    let name = text.get(member.name).unwrap_or_default();
                    sketch.push_str(if is_field_name(name) { name } else { "\"*\"" });
                    sketch.push(':');
                    draw(text.get(member.value).unwrap_or_default(), depth - 1, sketch);
                }
            });
            sketch.push_str(if count > SHOWN_MEMBERS { ",…}" } else { "}" });
        }
        Some(b'[') if depth > 0 => {
            sketch.push('[');
            Scanner::new(text).list(|element| {
                count += 1;
                if count <= 1 {
                    draw(text.get(element).unwrap_or_default(), depth - 1, sketch);
                }
            });
            sketch.push_str(if count > 1 { ",…]" } else { "]" });
        }
        Some(b'{') => sketch.push_str("{…}"),
        Some(b'[') => sketch.push_str("[…]"),
        Some(b't' | b'f' | b'n') => sketch.push_str(text),
        _ => sketch.push('0'),
    }
}

fn separate(count: usize, sketch: &mut String) {
    if count > 1 {
        sketch.push(',');
    }
}

/// Whether a name, in its quotes, looks like that of a field. Another may be somebody's key in a map of theirs.
fn is_field_name(quoted: &str) -> bool {
    let name = quoted.trim_matches('"');
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (1..=32).contains(&name.len()) && name.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sketch_shows_names_of_fields_and_no_values() {
        for (text, expected) in [
            (r#""secret""#, r#""…""#),
            ("42", "0"),
            ("-1.5e3", "0"),
            ("true", "true"),
            ("null", "null"),
            (
                r#"{"state": "running", "k1": [1, 2], "Team A": {}}"#,
                r#"{"state":"…","*":[0,…],"*":{}}"#,
            ),
            (r#"{"a":{"b":{"c":{"d":1}}}}"#, r#"{"a":{"b":{"c":{…}}}}"#),
            (r#"["sk-ant-1","sk-ant-2"]"#, r#"["…",…]"#),
        ] {
            assert_eq!(sketch(text), expected, "{text}");
        }
        let many = format!("{{{}}}", vec![r#""a":0"#; 1000].join(","));
        assert!(sketch(&many).len() < 100);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(sketch(&deep), "[[[[…]]]]");
    }

    #[test]
    fn what_is_shown_is_cut_and_moves_no_cursor() {
        assert_eq!(shown("state"), "state");
        assert_eq!(shown("\u{1b}[31m\0\u{202e}"), r"\u{1b}[31m\u{0}\u{202e}");
        assert_eq!(shown(&"ä".repeat(100)).chars().count(), 65);
        assert_eq!(form("2026-11-26 at Noon"), "0000-00-00 aa Aaaa");
    }
}
