use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use crate::config::SchemaFolder;

/// What of the settings is looked at for changes.
#[derive(Debug, Default)]
pub(super) struct SettingsWatch {
    file: FileWatch,
    schemas: FileWatch,
    /// The folder that `schemas` has seen.
    folder: Option<PathBuf>,
}

impl SettingsWatch {
    /// Whether the file of the settings or their folder of schemas has changed. Blocks.
    pub(super) fn look(&mut self, file: Option<&Path>, folder: Option<&SchemaFolder>) -> bool {
        let path = folder.map(|folder| &folder.path);
        if self.folder.as_ref() != path {
            self.schemas = folder.map(FileWatch::of_schemas).unwrap_or_default();
            self.folder = path.cloned();
        }
        let is_file_changed = file.is_some_and(|file| self.file.look(file));
        path.is_some_and(|path| self.schemas.look_at_schemas(path)) || is_file_changed
    }
}

/// Whether a file or a folder was changed, found out by looking at it now and then: that sees what editors and Kubernetes do,
/// who put another file, or another link to one, in its place. What was written in parts is waited for: two looks
/// in a row have to see the same.
#[derive(Debug, Default)]
struct FileWatch {
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
    fn look(&mut self, path: &Path) -> bool {
        let now = self.see(path);
        self.compare(now)
    }

    /// Whether a folder of schemas becomes another than the one that was read.
    fn of_schemas(folder: &SchemaFolder) -> Self {
        Self {
            seen: None,
            known: Some(Content::Digest(folder.digest().to_vec())),
        }
    }

    /// The same as [`Self::look`] of a folder of schemas.
    fn look_at_schemas(&mut self, path: &Path) -> bool {
        let content = match SchemaFolder::look(path) {
            Ok(digest) => Content::Digest(digest.to_vec()),
            Err(error) => Content::Unreadable(error.kind()),
        };
        self.compare(Seen { stamp: None, content })
    }

    fn compare(&mut self, now: Seen) -> bool {
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
    fn a_folder_of_schemas_is_another_with_each_file_that_comes_changes_or_goes() {
        let directory = tempfile::tempdir().unwrap();
        let folder = directory.path();
        let patch = folder.join("environment.patch.json");
        let mut watch = FileWatch::default();
        let mut looks = |count| {
            (0..count)
                .map(|_| watch.look_at_schemas(folder))
                .collect::<Vec<_>>()
        };
        assert_eq!(looks(2), [false; 2], "an empty one is as it was");
        fs::write(&patch, "[").unwrap();
        assert_eq!(looks(3), [false, true, false]);
        fs::write(&patch, "[]").unwrap();
        assert_eq!(looks(3), [false, true, false]);
        fs::write(folder.join(".environment.patch.json.swp"), "").unwrap();
        assert_eq!(looks(3), [false; 3], "what nobody reads");
        fs::remove_file(&patch).unwrap();
        assert_eq!(looks(3), [false, true, false]);
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
