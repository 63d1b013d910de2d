//! A crash leaves no file with the process's memory, which has every secret in it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What held before it was forbidden.
pub(super) struct CoreDumps {
    inherited: Rlimit,
}

impl CoreDumps {
    /// Forbids them, for whatever this process is going to read. Nothing that it does is worth to fail for where
    /// the system does not let it.
    pub(super) fn forbid() -> Self {
        let inherited = getrlimit(Resource::Core);
        // Only the soft limit, so that it can be taken back.
        let none = Rlimit {
            current: Some(0),
            ..inherited
        };
        let _ = setrlimit(Resource::Core, none);
        set_dumpable(false);
        Self { inherited }
    }

    /// Puts back what was inherited.
    pub(super) fn allow(self) {
        let _ = setrlimit(Resource::Core, self.inherited);
        set_dumpable(true);
    }
}

/// A limit of nothing does not keep the system from handing the memory to a program such as systemd-coredump; this
/// does, and nobody but root may read it by /proc or a debugger either.
#[cfg(target_os = "linux")]
fn set_dumpable(is_dumpable: bool) {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    let behavior = match is_dumpable {
        true => DumpableBehavior::Dumpable,
        false => DumpableBehavior::NotDumpable,
    };
    let _ = set_dumpable_behavior(behavior);
}

#[cfg(not(target_os = "linux"))]
fn set_dumpable(_: bool) {}
