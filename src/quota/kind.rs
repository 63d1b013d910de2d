use crate::contract::Operation;

/// What an upstream request is, as far as limits tell requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Makes an environment.
    Create,
    /// Changes nothing.
    Read,
    /// Changes an environment that is there.
    Change,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Create, Self::Read, Self::Change];
}

impl From<Operation> for Kind {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Create => Self::Create,
            _ if operation.is_write() => Self::Change,
            _ => Self::Read,
        }
    }
}

/// One of a thing for each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByKind<T> {
    create: T,
    read: T,
    change: T,
}

impl<T> ByKind<T> {
    pub(super) fn new(mut make: impl FnMut(Kind) -> T) -> Self {
        Self {
            create: make(Kind::Create),
            read: make(Kind::Read),
            change: make(Kind::Change),
        }
    }

    pub(super) const fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Create => &self.create,
            Kind::Read => &self.read,
            Kind::Change => &self.change,
        }
    }

    pub(super) const fn of_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Create => &mut self.create,
            Kind::Read => &mut self.read,
            Kind::Change => &mut self.change,
        }
    }
}

/// The kinds of which another request may be sent now.
pub(super) type Open = ByKind<bool>;
