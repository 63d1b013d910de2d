//! The secrets that are planted, each for one place.

use envgate::text::random_base58;
use parking_lot::Mutex;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::searcher::Plant;

/// All that was planted for a test.
#[derive(Default)]
pub struct Plants(Mutex<Vec<Plant>>);

impl Plants {
    /// A new secret for a place that takes letters, digits and a dot.
    pub fn plain(&self, place: &str) -> String {
        self.joined(place, ".")
    }

    /// One for a header, with what encodings change.
    pub fn odd(&self, place: &str) -> String {
        self.joined(place, "/\"+%41\\")
    }

    /// One for a URL, where what encodings change is written so.
    pub fn in_url(&self, place: &str) -> String {
        self.joined(place, "%2F%40+")
    }

    /// Something that was a secret before.
    pub fn known(&self, place: &str, secret: impl AsRef<[u8]>) {
        self.0.lock().push(Plant::new(place, secret));
    }

    /// A key of a tenant, whose first characters are its public name.
    pub fn tenant_key(&self, place: &str, key: String) -> String {
        self.known(place, &key[14..]);
        key
    }

    /// A private key: a line of its file, and what that stands for.
    pub fn private_key(&self, place: &str, pem: &str) {
        let line = pem.lines().nth(1).unwrap();
        self.known(place, &line[line.len() - 40..]);
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let der = key.secret_der();
        self.0.lock().push(Plant {
            place: format!("{place}, its bytes"),
            // Where a P-256 key is in PKCS #8.
            needles: vec![der[40..60].to_vec()],
        });
    }

    pub fn all(&self) -> Vec<Plant> {
        self.0.lock().clone()
    }

    fn joined(&self, place: &str, joint: &str) -> String {
        let random = random_base58().unwrap() + &random_base58().unwrap();
        let secret = format!("{}{joint}{}", &random[..16], &random[16..32]);
        self.known(place, &secret);
        secret
    }
}
