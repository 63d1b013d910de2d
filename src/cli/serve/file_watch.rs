use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ring::digest::{SHA256, digest};

/// Whether a file was changed, found out by looking at it now and then: that sees what editors and Kubernetes do,
/// who put another file, or another link to one, in its place. What was written in parts is waited for: two looks
/// in a row have to see the same.
#[derive(Debug, Default)]
pub(super) struct FileWatch {
    seen: Option<Seen>,
    /// What was told of last, or was there at first.
    known: Option<Content>,
}

/// A file at one look.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    stamp: Option<Stamp>,
    content: Content,
}

/// What a file that was not touched has in common with itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A digest of it, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Digest(Vec<u8>),
    Unreadable(io::ErrorKind),
}

impl FileWatch {
    /// Looks at the file; whether it has become another than it was, and stays so. At first it is as it should be.
    /// Blocks.
    pub(super) fn look(&mut self, path: &Path) -> bool {
        let now = self.see(path);
        let is_settled = self.seen.as_ref() == Some(&now);
        let content = now.content.clone();
        self.seen = Some(now);
        match &self.known {
            None => self.known = Some(content),
            Some(known) if is_settled && *known != content => {
                self.known = Some(content);
                return true;
            }
            Some(_) => {}
        }
        false
    }

    fn see(&self, path: &Path) -> Seen {
        let stamp = fs::metadata(path).map(|metadata| Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        });
        match (stamp, &self.seen) {
            (Ok(stamp), Some(seen)) if seen.stamp == Some(stamp) => seen.clone(),
            (stamp, _) => Seen {
                stamp: stamp.ok(),
                content: Content::of(path),
            },
        }
    }
}

impl Content {
    fn of(path: &Path) -> Self {
        match fs::read(path) {
            Ok(content) => Self::Digest(digest(&SHA256, &content).as_ref().to_vec()),
            Err(error) => Self::Unreadable(error.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_change_is_told_once_and_not_before_it_has_settled() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("envgate.toml");
        let mut watch = FileWatch::default();
        fs::write(&file, "one").unwrap();
        assert_eq!(
            [watch.look(&file), watch.look(&file)],
            [false; 2],
            "it is as it was"
        );
        fs::write(&file, "tw").unwrap();
        assert!(!watch.look(&file));
        fs::write(&file, "two").unwrap();
        assert!(!watch.look(&file), "it was not done yet");
        assert!(watch.look(&file));
        assert_eq!([watch.look(&file), watch.look(&file)], [false; 2], "once");
    }

    #[test]
    fn another_file_or_another_link_in_its_place_is_a_change_and_a_touch_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let (first, second, data, file) = (at("first"), at("second"), at("..data"), at("envgate.toml"));
        for (version, text) in [(&first, "one"), (&second, "two")] {
            fs::create_dir(version).unwrap();
            fs::write(version.join("envgate.toml"), text).unwrap();
        }
        // As Kubernetes does: the file is a link through a link, which is swapped.
        symlink(&first, &data).unwrap();
        symlink(data.join("envgate.toml"), &file).unwrap();
        let mut watch = FileWatch::default();
        assert_eq!([watch.look(&file), watch.look(&file)], [false; 2]);
        symlink(&second, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), &data).unwrap();
        assert_eq!(
            [watch.look(&file), watch.look(&file), watch.look(&file)],
            [false, true, false]
        );

        // As editors do.
        fs::write(at("new"), "three").unwrap();
        fs::rename(at("new"), second.join("envgate.toml")).unwrap();
        assert_eq!([watch.look(&file), watch.look(&file)], [false, true]);
        fs::write(&file, "three").unwrap();
        assert_eq!(
            [watch.look(&file), watch.look(&file), watch.look(&file)],
            [false; 3]
        );
    }

    #[test]
    fn a_file_that_is_gone_is_told_once_it_stays_gone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("envgate.toml");
        fs::write(&file, "one").unwrap();
        let mut watch = FileWatch::default();
        watch.look(&file);
        fs::remove_file(&file).unwrap();
        assert!(!watch.look(&file), "an editor may be about to put it back");
        fs::write(&file, "one").unwrap();
        assert_eq!([watch.look(&file), watch.look(&file)], [false; 2], "and has");
        fs::remove_file(&file).unwrap();
        assert_eq!(
            [watch.look(&file), watch.look(&file), watch.look(&file)],
            [false, true, false]
        );
    }
}
