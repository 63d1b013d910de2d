/// Why a body is no JSON document that this API takes, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentFault {
    /// What is wrong.
    pub kind: DocumentFaultKind,
    /// What is wrong in words, without the place.
    pub message: String,
    /// Line of the fault, from 1.
    pub line: usize,
    /// Column of the fault in bytes, from 1.
    pub column: usize,
    /// Offset of the fault in bytes from the start of the body.
    pub offset: usize,
}

/// The kinds of fault, each with an error code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentFaultKind {
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// The text is not JSON.
    InvalidJson,
    /// An object has one name twice, compared after unescaping.
    DuplicateKey,
    /// Arrays and objects stand more than 64 deep in each other.
    NestingTooDeep,
    /// Something follows the document.
    TrailingBytes,
}

impl DocumentFaultKind {
    /// The value of `error.details.error_code`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::DuplicateKey => "duplicate_key",
            Self::NestingTooDeep => "nesting_too_deep",
            Self::TrailingBytes => "trailing_bytes",
        }
    }
}
