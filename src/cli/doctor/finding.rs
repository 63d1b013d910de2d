use std::fmt;

use jiff::SignedDuration;
use serde::Serialize;

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::cli) enum Grade {
    Ok,
    /// Works, but not as well as it should, or not for long.
    Warning,
    /// Does not work.
    Fault,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct Finding {
    /// What was looked at: `store`, `upstream`.
    pub(in crate::cli) check: &'static str,
    pub(in crate::cli) grade: Grade,
    /// What there is.
    pub(in crate::cli) found: String,
    /// Why it matters; empty where all is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::cli) why: String,
    /// What to do about it; empty where all is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(in crate::cli) advice: String,
}

/// What a check has found, and which clocks it has seen meanwhile.
#[derive(Debug, Default)]
pub(in crate::cli) struct Findings {
    pub(in crate::cli) list: Vec<Finding>,
    /// Whose clock, and how far it is ahead of ours.
    pub(in crate::cli) clocks: Vec<(String, SignedDuration)>,
}

impl Finding {
    pub(in crate::cli) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            grade: Grade::Ok,
            found: found.into(),
            why: String::new(),
            advice: String::new(),
        }
    }

    pub(in crate::cli) fn warning(
        check: &'static str,
        found: impl Into<String>,
        why: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            grade: Grade::Warning,
            why: why.into(),
            advice: advice.into(),
            ..Self::ok(check, found)
        }
    }

    pub(in crate::cli) fn fault(
        check: &'static str,
        found: impl Into<String>,
        why: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            grade: Grade::Fault,
            ..Self::warning(check, found, why, advice)
        }
    }
}

impl From<Vec<Finding>> for Findings {
    fn from(list: Vec<Finding>) -> Self {
        Self {
            list,
            clocks: Vec::new(),
        }
    }
}

impl From<Finding> for Findings {
    fn from(finding: Finding) -> Self {
        vec![finding].into()
    }
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "FAULT",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {:<12} {}", self.grade, self.check, self.found)?;
        for (label, text) in [("why", &self.why), ("do", &self.advice)] {
            if !text.is_empty() {
                write!(f, "\n{:>21} {text}", format!("{label}:"))?;
            }
        }
        Ok(())
    }
}
