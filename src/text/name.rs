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
    known
        .into_iter()
        .filter_map(|known| {
            let most = (known.len() / 3).max(1);
            // No name is nearer than the difference of the lengths; most need no closer look.
            if name.len().abs_diff(known.len()) > most {
                return None;
            }
            let distance = strsim::osa_distance(&name, &known.to_lowercase());
            (distance <= most).then_some((distance, known))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
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

    #[test]
    fn a_very_long_name_is_not_compared() {
        let long = "n".repeat(65);
        assert_eq!(nearest_name(&long, [long.as_str()]), None);
    }
}
