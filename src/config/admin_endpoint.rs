//! Where the admin address is, for a command that asks it one thing and has no use for all the rest.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::admin::Admin;
use super::errors::ConfigErrors;
use super::reader::Reader;
use super::source::Source;
use super::tls::KeyPairFiles;
use super::tree::{self, Raw};
use super::{overlay, values};

/// How the admin address is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminEndpoint {
    /// `admin.address`, as it is written.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub is_tls: bool,
    /// Where it wants a certificate of its clients: its own, which commands show.
    pub client: Option<KeyPairFiles>,
}

/// Reads where the admin address is and nothing else: no secret, no other file. What is wrong elsewhere does not
/// matter, because a gateway that runs does not mind it either.
///
/// # Errors
/// What is wrong with these settings, or that the text is no TOML.
pub fn load_admin_endpoint(source: &Source) -> Result<AdminEndpoint, ConfigErrors> {
    let mut elsewhere = ConfigErrors::default();
    let mut entries = tree::read(&source.name, &source.text, &mut elsewhere)?;
    overlay::lay(&source.environment, &mut entries, &mut elsewhere);
    let mut reader = Reader {
        entries,
        environment: &source.environment,
        ignored_variables: Vec::new(),
        otel_advice: Vec::new(),
        errors: ConfigErrors::default(),
    };
    match reader.admin_endpoint() {
        Some(endpoint) => Ok(endpoint),
        None => Err(reader.errors),
    }
}

impl AdminEndpoint {
    /// That of settings which are good as a whole.
    #[must_use]
    pub fn of(admin: &Admin) -> Self {
        let tls = admin.tls.as_ref();
        let wants_client = tls.filter(|tls| tls.client_ca.is_some());
        Self {
            address: admin.address,
            is_tls: tls.is_some(),
            client: wants_client.and_then(|tls| tls.certificates.first().cloned()),
        }
    }
}

impl Reader<'_> {
    fn admin_endpoint(&mut self) -> Option<AdminEndpoint> {
        let certificate = self.read_optional("admin.tls.certificate", values::path);
        let key = self.read_optional("admin.tls.key", values::path);
        let others = self.read_list("admin.tls.certificates", |raw| Ok(pair(raw)));
        let address = self.read("admin.address", values::address)?;
        let others = others?.unwrap_or_default();
        let own = certificate?
            .zip(key?)
            .map(|(certificate, key)| KeyPairFiles { certificate, key });
        let is_tls = own.is_some() || !others.is_empty();
        let own = own.or_else(|| others.into_iter().flatten().next());
        Some(AdminEndpoint {
            address,
            is_tls,
            client: own.filter(|_| self.is_set("admin.tls.client_ca")),
        })
    }
}

/// An element of the list; none where it is not one.
fn pair(raw: &Raw) -> Option<KeyPairFiles> {
    let Raw::Table(table) = raw else {
        return None;
    };
    let file = |name| -> Option<PathBuf> { values::path(table.get(name)?).ok() };
    Some(KeyPairFiles {
        certificate: file("certificate")?,
        key: file("key")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Result<AdminEndpoint, ConfigErrors> {
        load_admin_endpoint(&Source::new("my.toml", text, []))
    }

    #[test]
    fn what_is_wrong_elsewhere_hides_nothing_and_no_secret_is_read() {
        let text = "[admin]\naddress = \"0.0.0.0:9999\"\ntoken = { file = \"/no/such/file\" }\n\
                    [upstream]\nurl = \"nonsense\"\ncredential = { env = \"NOT_SET\" }\n[lsten]\n";
        let expected = AdminEndpoint {
            address: "0.0.0.0:9999".parse().unwrap(),
            is_tls: false,
            client: None,
        };
        assert_eq!(endpoint(text).unwrap(), expected);
    }

    #[test]
    fn the_certificates_of_the_address_say_that_it_speaks_tls_and_need_not_be_there() {
        let one = endpoint("[admin.tls]\ncertificate = \"no.crt\"\nkey = \"no.key\"\n").unwrap();
        assert!(one.is_tls && one.client.is_none(), "{one:?}");
        let listed = "[admin.tls]\nclient_ca = \"no.pem\"\n[[admin.tls.certificates]]\n\
                      certificate = \"no.crt\"\nkey = \"no.key\"\n";
        let listed = endpoint(listed).unwrap();
        assert!(listed.is_tls, "{listed:?}");
        assert_eq!(
            listed.client.unwrap().certificate,
            PathBuf::from("no.crt"),
            "shown to the address"
        );
    }

    #[test]
    fn a_wrong_address_is_told_with_its_place() {
        let errors = endpoint("[lsten]\n[admin]\naddress = \"nowhere\"\n").unwrap_err();
        assert_eq!(errors.len(), 1, "{errors}");
        assert!(errors.to_string().starts_with("my.toml:3:"), "{errors}");
    }
}
