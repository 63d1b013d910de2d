//! Finds a secret in what came out, as it is or behind up to two encodings.

use std::collections::HashSet;

use memchr::memmem;

/// How many encodings may lie over each other.
const ROUNDS: usize = 2;
/// What is shorter is no part of a secret that would be found in nothing else.
const SHORTEST: usize = 10;

/// A secret, and where it was planted.
#[derive(Clone, Debug)]
pub struct Plant {
    pub place: String,
    /// What is looked for: the parts that no encoding splits, so that a secret that is cut short is found too.
    pub needles: Vec<Vec<u8>>,
}

impl Plant {
    pub fn new(place: &str, secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        let mut needles: Vec<_> = secret
            .split(|byte| !byte.is_ascii_alphanumeric())
            .filter(|part| part.len() >= SHORTEST)
            .map(<[u8]>::to_vec)
            .collect();
        if needles.is_empty() {
            needles.push(secret.to_vec());
        }
        Self {
            place: place.to_owned(),
            needles,
        }
    }

    fn is_in(&self, text: &[u8]) -> bool {
        self.needles
            .iter()
            .any(|needle| memmem::find(text, needle).is_some())
    }
}

/// The places whose secrets are in a text, each with how it was written there.
pub fn search(plants: &[Plant], text: &[u8]) -> Vec<String> {
    let mut found = HashSet::new();
    search_behind(plants, text, "plain", ROUNDS, &mut found);
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_unstable();
    found
}

fn search_behind(plants: &[Plant], text: &[u8], how: &str, rounds: usize, found: &mut HashSet<String>) {
    let there = plants.iter().filter(|plant| plant.is_in(text));
    found.extend(there.map(|plant| format!("{} ({how})", plant.place)));
    if rounds == 0 {
        return;
    }
    for (name, decoded) in decodings(text) {
        search_behind(plants, &decoded, &format!("{how}, {name}"), rounds - 1, found);
    }
}

/// All that a text may stand for. Of what has nothing of an encoding there is none.
fn decodings(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut decoded = Vec::new();
    let mut add = |name, bytes: Vec<u8>| {
        if !bytes.is_empty() && bytes != text {
            decoded.push((name, bytes));
        }
    };
    add("JSON", from_json(text));
    add("percent", percent_encoding::percent_decode(text).collect());
    for phase in 0..4 {
        add("base64", runs(text, phase, 14, |byte| sextet(byte, *b"+/"), 6));
        add("base64url", runs(text, phase, 14, |byte| sextet(byte, *b"-_"), 6));
    }
    for phase in 0..2 {
        add("hex", runs(text, phase, 2 * SHORTEST, nibble, 4));
    }
    decoded
}

/// The text with the escapes of JSON strings resolved, wherever they stand.
fn from_json(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return decoded,
            [b'\\', b'u', digits @ ..] if code(digits).is_some() => {
                let character = char::from_u32(code(digits).unwrap()).unwrap_or('?');
                decoded.extend_from_slice(character.to_string().as_bytes());
                &digits[4..]
            }
            [b'\\', escaped, rest @ ..] => {
                decoded.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => *other,
                });
                rest
            }
            [byte, rest @ ..] => {
                decoded.push(*byte);
                rest
            }
        };
    }
}

fn code(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits.get(..4)?).ok()?, 16).ok()
}

/// Every run of digits of an encoding, read from its `phase`th digit on, as the bytes that it stands for.
fn runs(text: &[u8], phase: usize, least: usize, value: impl Fn(u8) -> Option<u32>, bits: u32) -> Vec<u8> {
    let mut decoded = Vec::new();
    for run in text.split(|byte| value(*byte).is_none()) {
        if run.len() < least + phase {
            continue;
        }
        let (mut held, mut held_bits) = (0_u32, 0);
        for byte in &run[phase..] {
            held = (held << bits) | value(*byte).unwrap();
            held_bits += bits;
            if held_bits >= 8 {
                held_bits -= 8;
                decoded.push(u8::try_from((held >> held_bits) & 0xff).unwrap());
                held &= (1 << held_bits) - 1;
            }
        }
        decoded.push(b'\n');
    }
    decoded
}

fn sextet(byte: u8, last: [u8; 2]) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        _ if byte == last[0] => 62,
        _ if byte == last[1] => 63,
        _ => return None,
    };
    Some(value.into())
}

fn nibble(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

mod tests {
    use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

    use super::*;

    const SECRET: &str = "k3yOfTheOperator/\"+%and9MoreOfIt";

    type Encoding = (&'static str, fn(&[u8]) -> Vec<u8>);

    const ENCODINGS: [Encoding; 11] = [
        ("as it is", <[u8]>::to_vec),
        ("JSON", |bytes| {
            serde_json::to_vec(&String::from_utf8_lossy(bytes)).unwrap()
        }),
        ("JSON by number", |bytes| {
            let escapes = bytes.iter().map(|byte| format!("\\u{byte:04x}"));
            escapes.collect::<String>().into_bytes()
        }),
        ("percent", |bytes| {
            let escapes = bytes.iter().map(|byte| format!("%{byte:02X}"));
            escapes.collect::<String>().into_bytes()
        }),
        ("base64", |bytes| BASE64.encode(bytes).into_bytes()),
        ("base64, one byte in", |bytes| {
            BASE64.encode(&[b"\xfb", bytes].concat()).into_bytes()
        }),
        ("base64, two bytes in", |bytes| {
            BASE64.encode(&[b"\xff\xfe", bytes].concat()).into_bytes()
        }),
        ("base64url", |bytes| {
            BASE64URL_NOPAD
                .encode(&[b"\xff\xff", bytes].concat())
                .into_bytes()
        }),
        ("base64url after other letters", |bytes| {
            format!("x{}", BASE64URL_NOPAD.encode(bytes)).into_bytes()
        }),
        ("hex", |bytes| HEXLOWER.encode(bytes).into_bytes()),
        ("HEX after another digit", |bytes| {
            format!("0{}", HEXUPPER.encode(bytes)).into_bytes()
        }),
    ];

    #[test]
    fn a_planted_secret_is_found_behind_each_encoding_and_each_two() {
        let plants = [Plant::new("here", SECRET)];
        let mut count = 0;
        for (inner_name, inner) in ENCODINGS {
            for (outer_name, outer) in ENCODINGS {
                let encoded = outer(&[b"{\"said\": ", inner(SECRET.as_bytes()).as_slice(), b"}"].concat());
                let output = [b"line one\nkey=", encoded.as_slice(), b" and more\n"].concat();
                assert_ne!(
                    search(&plants, &output),
                    [""; 0],
                    "{inner_name} in {outer_name}: {}",
                    String::from_utf8_lossy(&output)
                );
                count += 1;
            }
        }
        println!("found behind {count} pairs of encodings");
    }

    #[test]
    fn a_secret_that_is_cut_short_is_found_and_nothing_else_is() {
        let plants = [Plant::new("here", SECRET)];
        assert_ne!(search(&plants, b"sent k3yOfTheOperator"), [""; 0]);
        assert_ne!(search(&plants, b"...and9MoreOfIt"), [""; 0]);
        for harmless in [
            "",
            "k3yOf",
            "an innocent line %41 \\u0041",
            SECRET.get(17..22).unwrap(),
        ] {
            assert_eq!(search(&plants, harmless.as_bytes()), [""; 0], "{harmless}");
        }
    }
}
