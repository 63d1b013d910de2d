//! `[listen.tls]` and `[admin.tls]`: whom an address shows itself as, and whom it lets in.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use super::certificates::{CertificateError, PemFile, key_pair};
use super::errors::{Problem, SourceLocation};
use super::reader::Reader;
use super::tls::{KeyPairFiles, ServerTls, TlsVersion};
use super::tree::Raw;
use super::values;

impl Reader<'_> {
    /// What a table says of TLS, if it says anything; none where there is an error. Every file is read.
    pub(super) fn server_tls(&mut self, table: &'static str) -> Option<Option<ServerTls>> {
        let at = |key: &str| format!("{table}.{key}");
        let first = self.key_pair_at(&at("certificate"), &at("key"));
        let others = self.read_list(&at("certificates"), key_pair_files);
        let min_version = self.read_or(&at("min_version"), values::tls_version, TlsVersion::Tls12);
        let client_ca = self.read_optional(&at("client_ca"), |raw| {
            let path = values::path(raw)?;
            PemFile::read(&path)?.roots(Timestamp::now())?;
            Ok(path)
        });
        let needs_client_certificate = self.read_or(&at("client_certificate"), values::is_required, true);
        if self.is_set(&at("client_certificate")) && !self.is_set(&at("client_ca")) {
            let setting = if table == "admin.tls" {
                "admin.tls.client_ca"
            } else {
                "listen.tls.client_ca"
            };
            self.fault(&at("client_certificate"), Problem::NoClientCa { setting });
        }
        let certificates: Vec<_> = first?.into_iter().chain(others?.unwrap_or_default()).collect();
        if certificates.is_empty() {
            return self.without_certificate(table);
        }
        Some(Some(ServerTls {
            certificates,
            min_version: min_version?,
            client_ca: client_ca?,
            needs_client_certificate: needs_client_certificate?,
        }))
    }

    /// A pair that has settings of its own, if it is set; none where there is an error.
    pub(super) fn key_pair_at(
        &mut self,
        certificate_path: &str,
        key_path: &str,
    ) -> Option<Option<KeyPairFiles>> {
        let certificate = self.read_optional(certificate_path, values::path);
        let key = self.read_optional(key_path, values::path);
        let files = match (certificate?, key?) {
            (None, None) => return Some(None),
            (Some(certificate), Some(key)) => KeyPairFiles { certificate, key },
            (Some(_), None) => return self.half(certificate_path, "key"),
            (None, Some(_)) => return self.half(key_path, "certificate"),
        };
        if let Err(error) = check(&files) {
            self.fault(certificate_path, error.into());
            return None;
        }
        Some(Some(files))
    }

    fn half<T>(&mut self, path: &str, missing: &'static str) -> Option<T> {
        self.fault(path, Problem::HalfKeyPair { missing });
        None
    }

    /// Nothing is said of TLS, or something and not the most important.
    fn without_certificate(&mut self, table: &str) -> Option<Option<ServerTls>> {
        let within = format!("{table}.");
        let mut settings = self.entries.settings.iter();
        let said = settings
            .find(|(path, _)| path.starts_with(&within))
            .map(|(_, written)| &written.location);
        let location: Option<SourceLocation> = said.or_else(|| self.entries.tables.get(table)).cloned();
        let Some(location) = location else {
            return Some(None);
        };
        self.fault_at(&location, table, Problem::NoServerCertificate);
        None
    }
}

/// An element of the list.
fn key_pair_files(raw: &Raw) -> Result<KeyPairFiles, Problem> {
    let Raw::Table(table) = raw else {
        return Err(Problem::NotKeyPair);
    };
    let is_known = |name: &String| ["certificate", "key"].contains(&name.as_str());
    if !table.keys().all(is_known) {
        return Err(Problem::NotKeyPair);
    }
    let file = |name: &'static str, table: &BTreeMap<String, Raw>| {
        values::path(table.get(name).ok_or(Problem::HalfKeyPair { missing: name })?)
    };
    let files = KeyPairFiles {
        certificate: file("certificate", table)?,
        key: file("key", table)?,
    };
    check(&files)?;
    Ok(files)
}

fn check(files: &KeyPairFiles) -> Result<(), CertificateError> {
    let read = |path: &Path| PemFile::read(path);
    key_pair(&read(&files.certificate)?, &read(&files.key)?, Timestamp::now()).map(|_| ())
}

#[cfg(test)]
mod tests;
