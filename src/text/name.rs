/// The longest name that is compared at all: comparing takes the product of both lengths.
const LONGEST: usize = 64;

/// The known name that `name` was most likely meant to be; none where none is near. Case makes no difference,
/// two letters in each other's place are one mistake, and a third of a name may be wrong.
///
/// ```
/// use envgate::text::nearest_name;
///
/// let known = ["timeout", "url", "requests_per_minute"];
/// assert_eq!(nearest_name("tiemout", known), Some("timeout"));
/// assert_eq!(nearest_name("requests_per_hour", known), Some("requests_per_minute"));
/// assert_eq!(nearest_name("retries", known), None);
/// ```
#[must_use]
pub fn nearest_name<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.chars().nth(LONGEST).is_some() {
        return None;
    }
    let name = name.to_lowercase();
    let mut nearest: Option<(usize, &str)> = None;
    for known in known {
        let most = (known.len() / 3).max(1);
        let nearer = nearest.map_or(usize::MAX, |(distance, _)| distance);
        // No name is nearer than the difference of the lengths; most need no closer look.
        let least = name.len().abs_diff(known.len());
        if least > most || least >= nearer {
            continue;
        }
        let distance = distance(&name, &known.to_lowercase());
        if distance <= most && distance < nearer {
            nearest = Some((distance, known));
        }
    }
    nearest.map(|(_, known)| known)
}

/// The number of mistakes. What two names begin and end with alike is none, and need not be compared at length.
fn distance(one: &str, other: &str) -> usize {
    let start = same(one.chars(), other.chars());
    let (one, other) = (
        one.get(start..).unwrap_or_default(),
        other.get(start..).unwrap_or_default(),
    );
    let end = same(one.chars().rev(), other.chars().rev());
    let (one, other) = (one.get(..one.len() - end), other.get(..other.len() - end));
    strsim::osa_distance(one.unwrap_or_default(), other.unwrap_or_default())
}

/// How many bytes the characters have that are the same in both.
fn same(one: impl Iterator<Item = char>, other: impl Iterator<Item = char>) -> usize {
    let pairs = one.zip(other).take_while(|(one, other)| one == other);
    pairs.map(|(one, _)| one.len_utf8()).sum()
}

/// Names as a sentence has them, with `last` before the last of them.
///
/// ```
/// use envgate::text::join_names;
///
/// assert_eq!(join_names(["a", "b", "c"], "or"), "a, b or c");
/// assert_eq!(join_names(["a"], "or"), "a");
/// assert_eq!(join_names([""; 0], "or"), "");
/// ```
#[must_use]
pub fn join_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>, last: &str) -> String {
    let names: Vec<S> = names.into_iter().collect();
    let mut joined = String::new();
    for (index, name) in names.iter().enumerate() {
        match index {
            0 => {}
            _ if index + 1 == names.len() => {
                joined.push(' ');
                joined.push_str(last);
                joined.push(' ');
            }
            _ => joined.push_str(", "),
        }
        joined.push_str(name.as_ref());
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_a_slip_and_another_case_are_recognised() {
        let known = ["allowed_hosts", "pip", "name"];
        for (name, expected) in [
            ("allowed_host", Some("allowed_hosts")),
            ("AllowedHosts", Some("allowed_hosts")),
            ("ipp", Some("pip")),
            ("nmae", Some("name")),
            ("title", None),
            ("", None),
        ] {
            assert_eq!(nearest_name(name, known), expected, "{name:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_the_same_at_both_ends_changes_no_distance(one in "[ab\u{e9}]{0,8}", other in "[ab\u{e9}]{0,8}") {
            proptest::prop_assert_eq!(distance(&one, &other), strsim::osa_distance(&one, &other));
        }
    }

    #[test]
    fn a_very_long_name_is_not_compared() {
        let long = "n".repeat(65);
        assert_eq!(nearest_name(&long, [long.as_str()]), None);
    }
}
