use std::fmt;

/// A share of something, from none of it to all of it, to a billionth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    billionths: u32,
    /// Of the numbers below 2⁶³ this and those after it are not taken.
    threshold: u64,
}

const BILLION: u32 = 1_000_000_000;

impl Ratio {
    /// All.
    pub const ALL: Self = Self {
        billionths: BILLION,
        threshold: 1 << 63,
    };

    /// As a person writes it: a number from 0 to 1 with at most nine digits after the point.
    ///
    /// ```
    /// use envgate::text::Ratio;
    ///
    /// assert_eq!(Ratio::parse("0.010").unwrap().to_string(), "0.01");
    /// assert_eq!(Ratio::parse("1"), Some(Ratio::ALL));
    /// assert_eq!(Ratio::parse("1.1"), None);
    /// assert_eq!(Ratio::parse("1e-3"), None);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        const DIGITS: usize = 9;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) || fraction.len() > DIGITS {
            return None;
        }
        let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 1)?;
        let fraction: u32 = format!("{fraction:0<DIGITS$}").parse().ok()?;
        let billionths = whole * BILLION + fraction;
        let threshold = (u128::from(billionths) << 63) / u128::from(BILLION);
        (billionths <= BILLION).then_some(Self {
            billionths,
            threshold: u64::try_from(threshold).ok()?,
        })
    }

    /// Whether it takes what has this trace id. It is the same everywhere: what a smaller share takes, a larger one takes
    /// too. As OpenTelemetry's samplers have it, the last eight bytes decide.
    ///
    /// ```
    /// use envgate::text::Ratio;
    ///
    /// let half = Ratio::parse("0.5").unwrap();
    /// assert!(half.takes(0x0af7651916cd43dd_1448eb211c80319c));
    /// assert!(!half.takes(0x0af7651916cd43dd_8448eb211c80319c));
    /// ```
    #[must_use]
    pub fn takes(self, trace_id: u128) -> bool {
        const LAST_EIGHT_BYTES: u128 = 0xffff_ffff_ffff_ffff;
        let number = u64::try_from(trace_id & LAST_EIGHT_BYTES).unwrap_or_default();
        number >> 1 < self.threshold
    }

    /// Whether it is all.
    #[must_use]
    pub fn is_all(self) -> bool {
        self == Self::ALL
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.billionths / BILLION, self.billionths % BILLION);
        let digits = format!("{fraction:09}");
        match digits.trim_end_matches('0') {
            "" => write!(f, "{whole}.0"),
            digits => write!(f, "{whole}.{digits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_takes_as_many_as_it_says_and_those_of_each_smaller_share() {
        let ids: Vec<_> = (0..20_000).map(|_| crate::text::unique_bits().unwrap()).collect();
        let taken = |text: &str| {
            let ratio = Ratio::parse(text).unwrap();
            ids.iter()
                .filter(|id| ratio.takes(**id))
                .copied()
                .collect::<Vec<_>>()
        };
        assert_eq!(taken("0").len(), 0);
        assert_eq!(taken("1.0").len(), ids.len());
        let (tenth, half) = (taken("0.1"), taken("0.5"));
        assert!((1500..2500).contains(&tenth.len()), "{}", tenth.len());
        assert!(tenth.iter().all(|id| half.contains(id)));
    }

    #[test]
    fn anything_but_a_plain_number_from_0_to_1_is_none() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-0.1",
            "+1",
            "2",
            "1.000000001",
            "0.0000000001",
            "nan",
            "0,5",
            " 1",
        ] {
            assert_eq!(Ratio::parse(text), None, "{text:?}");
        }
    }
}
