//! What the file system says of a store that is a file.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

/// What was found out.
#[derive(Debug, Default)]
pub(super) struct FileSystem {
    /// The permissions of the file; none where it is not there.
    pub(super) mode: Option<u32>,
    /// Why neither it nor its journals can be written; none where they can.
    pub(super) not_writable: Option<String>,
    /// What kind it is, where another machine has it: SQLite's locks and shared memory do not reach there.
    pub(super) network: Option<&'static str>,
    /// How many bytes are left for this user.
    pub(super) free_bytes: Option<u64>,
}

/// Looks at a file and its directory, which has to be there. Nothing is opened, since closing a file takes the locks
/// from other connections of this process.
pub(super) fn look(path: &Path) -> FileSystem {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mode = path
        .metadata()
        .ok()
        .map(|metadata| metadata.permissions().mode() & 0o7777);
    let cannot = |what: &Path| {
        let denied = access(what, Access::WRITE_OK).err()?;
        Some(format!("{}: {}", what.display(), std::io::Error::from(denied)))
    };
    let file = mode.and_then(|_| cannot(path));
    FileSystem {
        mode,
        not_writable: file.or_else(|| cannot(directory)),
        network: network(directory),
        free_bytes: statvfs(directory)
            .ok()
            .map(|room| room.f_bavail.saturating_mul(room.f_frsize)),
    }
}

#[cfg(target_os = "linux")]
fn network(directory: &Path) -> Option<&'static str> {
    // `statfs(2)` has these numbers. What FUSE has may be of this machine, but mostly is not.
    const NETWORK: [(u64, &str); 9] = [
        (0x6969, "NFS"),
        (0xff53_4d42, "CIFS"),
        (0xfe53_4d42, "SMB2"),
        (0x517b, "SMB"),
        (0x0102_1997, "9P"),
        (0x6573_5546, "FUSE"),
        (0x00c3_6400, "Ceph"),
        (0x5346_414f, "AFS"),
        (0x7461_636f, "OCFS2"),
    ];
    let kind = rustix::fs::statfs(directory).ok()?.f_type;
    // Its width and sign are the machine's; the numbers have 32 bits.
    let kind = u64::try_from(kind).ok()? & 0xffff_ffff;
    NETWORK
        .into_iter()
        .find_map(|(number, name)| (number == kind).then_some(name))
}

#[cfg(not(target_os = "linux"))]
fn network(_directory: &Path) -> Option<&'static str> {
    None
}
