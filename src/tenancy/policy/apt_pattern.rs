/// A name that apt would take for a regular expression where it knows no package of that name: one with a dot
/// or a plus. apt searches all names with it, so that `netca.` installs `netcat`.
///
/// Of regular expressions, only what a legal name can hold is understood: letters, `.` for any, `+` for once
/// or more.
pub(super) struct Pattern {
    /// For each byte, the atoms that take it, a bit each.
    takes: [u128; 128],
    /// The atoms that may take more than one.
    repeats: u128,
    /// The last atom.
    end: u128,
}

/// Names that every Debian and Ubuntu has a package of, so that apt never looks further.
const ALWAYS_THERE: [&str; 1] = ["g++"];

impl Pattern {
    /// The pattern in a name; none where apt would take it for a name only.
    pub(super) fn of(name: &str) -> Option<Self> {
        if !name.contains(['.', '+']) || ALWAYS_THERE.contains(&name) {
            return None;
        }
        let mut pattern = Self {
            takes: [0; 128],
            repeats: 0,
            end: 0,
        };
        let mut next = 1_u128;
        for byte in name.bytes() {
            match byte {
                b'+' => pattern.repeats |= pattern.end,
                b'.' => pattern.add(next, 0..=127),
                byte => pattern.add(next, byte..=byte),
            }
            if byte != b'+' {
                pattern.end = next;
                next = next.checked_shl(1).unwrap_or(0);
            }
        }
        Some(pattern)
    }

    fn add(&mut self, atom: u128, bytes: std::ops::RangeInclusive<u8>) {
        let (first, last) = (usize::from(*bytes.start()), usize::from(*bytes.end()));
        for takes in self.takes.get_mut(first..=last).unwrap_or_default() {
            *takes |= atom;
        }
    }

    /// Whether the pattern is found anywhere in a name. Runs all atoms at once, a bit each.
    pub(super) fn finds(&self, name: &str) -> bool {
        let mut reached = 0_u128;
        name.bytes().any(|byte| {
            let takes = self.takes.get(usize::from(byte)).copied().unwrap_or(0);
            reached = ((reached << 1 | 1) | (reached & self.repeats)) & takes;
            reached & self.end != 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_finds_what_apt_would_find_with_it() {
        for (name, denied, is_found) in [
            ("netca.", "netcat", true),
            ("etca.", "netcat-openbsd", true),
            ("n.t.a.", "netcat", true),
            ("netcat+", "netcat", true),
            ("nnn+", "n", false),
            ("net+cat", "netcat", true),
            ("net+cat", "nettcat", true),
            ("net+cat", "necat", false),
            ("python3.11", "netcat", false),
            ("libstdc++6", "netcat", false),
            ("netcat.", "netcat", false),
        ] {
            let pattern = Pattern::of(name).unwrap();
            assert_eq!(pattern.finds(denied), is_found, "{name} in {denied}");
        }
        assert!(Pattern::of("netcat").is_none());
        assert!(
            Pattern::of("g++").is_none(),
            "there is always a package of that name"
        );
    }

    #[test]
    fn the_longest_name_has_a_bit_for_each_atom() {
        let long = format!("{}.", "a".repeat(127));
        assert!(Pattern::of(&long).unwrap().finds(&"a".repeat(128)));
        assert!(!Pattern::of(&long).unwrap().finds(&"a".repeat(127)));
    }
}
