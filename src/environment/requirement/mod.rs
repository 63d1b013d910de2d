//! What one entry of a package list asks for, read in the documented command-line form of its manager.
//!
//! Each grammar takes a name and, where one is given, a version from the manager's registry. Options, files,
//! URLs, aliases and patterns are no requirement, although some of the managers would take them: what cannot
//! be compared by name cannot be judged by name.

mod apt;
mod cargo;
mod gem;
mod go;
mod npm;
mod pip;
mod semver;

use std::fmt;

use super::Packages;

/// One of the package managers that an environment has a list for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PackageManager {
    /// Ubuntu and Debian packages: `name`, `name=version`, `name:architecture`.
    Apt,
    /// Rust packages, as `cargo install` takes them: `name`, `name@version`.
    Cargo,
    /// Ruby packages, as `gem install` takes them: `name`, `name:version`.
    Gem,
    /// Go packages, as `go install` takes them: `path`, `path@version`.
    Go,
    /// Node.js packages: `name`, `@scope/name`, either with `@version`, `@range` or `@tag`.
    Npm,
    /// Python packages: `name`, `name[extra]`, either with version specifiers such as `==1.2` or `>=1,<2`.
    Pip,
}

/// The name of a package, in the form in which its manager's registry compares names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageName(String);

/// An entry of a package list, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Which package.
    pub name: PackageName,
    /// Whether it names exactly one version.
    pub is_pinned: bool,
}

/// The text is none of the forms that the manager documents for a package of its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct NotARequirement(&'static str);

/// The text is no name of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a package of {0}, without a version")]
pub struct NotAPackageName(PackageManager);

/// No registry has names and versions that come near this, in bytes.
const LONGEST: usize = 256;

struct Grammar {
    /// The normalised form of a name, where the text is one.
    name: fn(&str) -> Option<String>,
    /// The name as it was written, and whether the version is exact, where the text is a requirement.
    requirement: fn(&str) -> Option<(&str, bool)>,
    /// The form in words.
    form: &'static str,
}

impl PackageManager {
    /// All of them, in alphabetical order.
    pub const ALL: [Self; 6] = [Self::Apt, Self::Cargo, Self::Gem, Self::Go, Self::Npm, Self::Pip];

    /// The name of its list in `config.packages`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Cargo => "cargo",
            Self::Gem => "gem",
            Self::Go => "go",
            Self::Npm => "npm",
            Self::Pip => "pip",
        }
    }

    /// The manager with this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|manager| manager.name() == name)
    }

    /// Its list.
    #[must_use]
    pub fn list(self, packages: &Packages) -> &[String] {
        match self {
            Self::Apt => &packages.apt,
            Self::Cargo => &packages.cargo,
            Self::Gem => &packages.gem,
            Self::Go => &packages.go,
            Self::Npm => &packages.npm,
            Self::Pip => &packages.pip,
        }
    }

    /// Understands an entry of its list.
    ///
    /// # Errors
    /// [`NotARequirement`] for everything but a name and perhaps a version, in ASCII and without spaces.
    ///
    /// ```
    /// use envgate::environment::PackageManager;
    ///
    /// let asked = PackageManager::Pip.requirement("Scikit_Learn==1.5.0").unwrap();
    /// assert_eq!((asked.name.as_str(), asked.is_pinned), ("scikit-learn", true));
    /// assert!(PackageManager::Pip.requirement("--index-url=https://evil.example").is_err());
    /// ```
    pub fn requirement(self, entry: &str) -> Result<Requirement, NotARequirement> {
        let grammar = self.grammar();
        Some(entry)
            .filter(|entry| entry.len() <= LONGEST && entry.bytes().all(|byte| byte.is_ascii_graphic()))
            .and_then(grammar.requirement)
            .and_then(|(name, is_pinned)| {
                let name = PackageName((grammar.name)(name)?);
                Some(Requirement { name, is_pinned })
            })
            .ok_or(NotARequirement(grammar.form))
    }

    /// Understands the name of a package alone.
    ///
    /// # Errors
    /// [`NotAPackageName`] where the text is anything else, or more.
    pub fn package_name(self, text: &str) -> Result<PackageName, NotAPackageName> {
        Some(text)
            .filter(|text| text.len() <= LONGEST)
            .and_then(self.grammar().name)
            .map(PackageName)
            .ok_or(NotAPackageName(self))
    }

    const fn grammar(self) -> &'static Grammar {
        match self {
            Self::Apt => &apt::GRAMMAR,
            Self::Cargo => &cargo::GRAMMAR,
            Self::Gem => &gem::GRAMMAR,
            Self::Go => &go::GRAMMAR,
            Self::Npm => &npm::GRAMMAR,
            Self::Pip => &pip::GRAMMAR,
        }
    }
}

impl fmt::Display for PackageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PackageName {
    /// The normalised name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a text is not empty, begins and ends with a letter or a digit, and `is_inner` holds for all
/// between.
fn is_word(text: &str, is_inner: impl Fn(u8) -> bool) -> bool {
    let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().next_back()) else {
        return false;
    };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || is_inner(byte))
}

/// Whether a text ends in one of `endings`, whatever their case.
fn ends_in(text: &str, endings: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    endings.iter().any(|ending| text.ends_with(ending))
}

#[cfg(test)]
mod tests;
