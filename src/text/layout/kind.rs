//! What values are.

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Object,
    List,
    String,
    /// With an exponent or a fraction, even if it is none.
    Number,
    /// Of digits alone.
    Integer,
    Boolean,
    Null,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl NodeKind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Object,
        Self::List,
        Self::String,
        Self::Number,
        Self::Integer,
        Self::Boolean,
        Self::Null,
    ];

    /// Of a value as it is written.
    #[inline]
    pub(crate) fn of(written: &str) -> Self {
        match written.as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::List,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') => Self::Null,
            _ if written.bytes().all(is_of_integer) => Self::Integer,
            _ => Self::Number,
        }
    }

    /// Whether there may be other values in it.
    #[inline]
    pub(crate) const fn is_container(self) -> bool {
        matches!(self, Self::Object | Self::List)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Object => 1,
            Self::List => 2,
            Self::String => 4,
            Self::Number => 8,
            Self::Integer => 16,
            Self::Boolean => 32,
            Self::Null => 64,
        }
    }
}

impl Kinds {
    #[inline]
    pub(crate) const fn add(&mut self, kind: NodeKind) {
        self.0 |= kind.bit();
    }

    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(crate) const fn has(self, kind: NodeKind) -> bool {
        self.0 & kind.bit() != 0
    }
}

const fn is_of_integer(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-')
}
