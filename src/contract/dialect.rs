/// A way in which the API is spoken: its schemas, its names for errors, its rules for replies.
#[derive(Debug)]
pub struct Dialect {
    /// The name in settings: `sandbase` or `anthropic`.
    pub name: &'static str,
    /// Pairs of the upstream's `error.type` and the dialect's name for it; any other passes unchanged.
    error_types: &'static [(&'static str, &'static str)],
}

impl Dialect {
    /// The facade: parameters, replies and error names of the Bearer-compatible endpoint. The default.
    pub const SANDBASE: Self = Self {
        name: "sandbase",
        error_types: &[
            ("invalid_request_error", "invalid_request"),
            ("not_found_error", "not_found"),
            ("conflict_error", "conflict"),
        ],
    };

    /// The native API, replies untouched.
    pub const ANTHROPIC: Self = Self {
        name: "anthropic",
        error_types: &[],
    };

    /// The dialect's name for an upstream `error.type`.
    #[must_use]
    pub fn error_type<'a>(&self, upstream_type: &'a str) -> &'a str {
        self.error_types
            .iter()
            .find(|(theirs, _)| *theirs == upstream_type)
            .map_or(upstream_type, |(_, ours)| ours)
    }
}
