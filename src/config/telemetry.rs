//! What is told of requests, beyond the log: traces, and metrics of tenants.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::certificates::PemFile;
use super::errors::Problem;
use super::reader::{Reader, variable};
use super::tree::Raw;
use super::{secrets, values};
use crate::text::Ratio;

/// `[telemetry]`.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// For how many tenants, those that ask the most, requests are counted by name; 0 for none.
    pub tenants: usize,
    /// Where spans go; none where no request becomes one.
    pub export: Option<SpanExport>,
    /// The share of traces that is kept where no caller decides.
    pub sample_ratio: Ratio,
    /// How many requests in a second are kept because their callers keep them.
    pub client_sampled_per_second: u32,
}

/// Where spans go, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanExport {
    /// The collector.
    pub collector: CollectorUrl,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// What it is sent with each batch; the values are marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long it may take for a batch.
    pub timeout: Duration,
    /// The certificate authorities that are trusted instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Who says all this: attributes of the resource, each name once.
    pub resource: Vec<(String, String)>,
    /// How many spans may wait.
    pub max_queued_spans: usize,
    /// How many go at once.
    pub max_batch_spans: usize,
    /// How long they wait for others.
    pub batch_delay: Duration,
}

/// A collector's URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorUrl {
    /// Whether the connection is TLS.
    pub is_tls: bool,
    /// The host, without brackets where it is an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Host, with brackets where it needs them, and port.
    pub authority: String,
    /// The path, which gRPC has no use for.
    pub path: String,
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// HTTP/2 and its own framing.
    Grpc,
    /// A POST for each batch.
    Http,
}

const SERVICE_NAME: &str = "service.name";

impl CollectorUrl {
    /// Takes a URL apart; none where it is none, or has more in it than scheme, host, port and path: a password would be
    /// shown wherever a setting is.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        let port = url
            .port_or_known_default()
            .filter(|port| *port != 0 && is_plain)?;
        let (host, authority) = match url.host()? {
            Host::Domain(name) => (name.to_owned(), format!("{name}:{port}")),
            Host::Ipv4(address) => (address.to_string(), format!("{address}:{port}")),
            Host::Ipv6(address) => (address.to_string(), format!("[{address}]:{port}")),
        };
        Some(Self {
            is_tls: url.scheme() == "https",
            host,
            port,
            authority,
            path: url.path().to_owned(),
        })
    }
}

impl Reader<'_> {
    pub(super) fn telemetry(&mut self) -> Option<Telemetry> {
        let environment = self.environment;
        let tenants = self.read("telemetry.tenants", |raw| values::integer(raw, 0..=1000));
        let collector = self.read_optional("telemetry.traces_endpoint", |raw| {
            CollectorUrl::parse(values::text(raw)?).ok_or(Problem::NotCollector)
        });
        let protocol = self.read("telemetry.protocol", protocol);
        let headers = self.read_optional("telemetry.headers", |raw| {
            if let Raw::String(_) = raw {
                let variable = variable("telemetry.headers");
                return Err(Problem::PlainSecret { variable });
            }
            parse_headers(&secrets::resolve(raw, environment)?)
        });
        let timeout = self.read("telemetry.timeout", values::duration);
        let ca_file = self.read_optional("telemetry.ca_file", ca_file);
        let sample_ratio = self.read("telemetry.sample_ratio", values::ratio);
        let per_second = self.read("telemetry.client_sampled_per_second", |raw| {
            values::integer(raw, 0..=100_000)
        });
        let service_name = self.read("telemetry.service_name", |raw| {
            values::text(raw).map(str::to_owned)
        });
        let resource = self.read_optional("telemetry.resource", |raw| parse_attributes(values::text(raw)?));
        let max_queued_spans = self.read("telemetry.max_queued_spans", |raw| {
            values::integer(raw, 64..=1_000_000)
        });
        let max_batch_spans = self.read("telemetry.max_batch_spans", |raw| {
            values::integer(raw, 1..=10_000)
        });
        let batch_delay = self.read("telemetry.batch_delay", values::duration);
        let export = match collector? {
            Some(collector) => Some(SpanExport {
                collector,
                protocol: protocol?,
                headers: headers?.unwrap_or_default(),
                timeout: timeout?,
                ca_file: ca_file?,
                resource: name_service(
                    resource?.unwrap_or_default(),
                    service_name?,
                    self.is_service_named(),
                ),
                max_queued_spans: max_queued_spans?,
                max_batch_spans: max_batch_spans?,
                batch_delay: batch_delay?,
            }),
            // What is wrong besides is told all the same.
            None => {
                protocol?;
                headers?;
                timeout?;
                ca_file?;
                service_name?;
                resource?;
                max_queued_spans?;
                max_batch_spans?;
                batch_delay?;
                None
            }
        };
        Some(Telemetry {
            tenants: tenants?,
            export,
            sample_ratio: sample_ratio?,
            client_sampled_per_second: u32::try_from(per_second?).unwrap_or(u32::MAX),
        })
    }

    fn is_service_named(&self) -> bool {
        self.is_set("telemetry.service_name")
    }
}

/// The attributes with the service's name: what is set, else what is among them, else the default.
fn name_service(
    mut attributes: Vec<(String, String)>,
    service_name: String,
    is_set: bool,
) -> Vec<(String, String)> {
    if is_set {
        attributes.retain(|(name, _)| name != SERVICE_NAME);
    }
    if !attributes.iter().any(|(name, _)| name == SERVICE_NAME) {
        attributes.insert(0, (SERVICE_NAME.to_owned(), service_name));
    }
    attributes
}

pub(super) fn protocol(raw: &Raw) -> Result<OtlpProtocol, Problem> {
    values::choice(
        raw,
        &["grpc", "http/protobuf"],
        &[OtlpProtocol::Grpc, OtlpProtocol::Http],
    )
}

/// A file that is there and has certificates in it.
pub(super) fn ca_file(raw: &Raw) -> Result<PathBuf, Problem> {
    let path = values::path(raw)?;
    let file = PemFile::read(&path)?;
    file.roots(Timestamp::now())?;
    Ok(path)
}

/// `name=value,name=value`, values percent-encoded where they have to be. Nothing of it is shown where it is wrong.
pub(super) fn parse_headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, Problem> {
    let header = |(name, value): (String, String)| {
        let name = HeaderName::try_from(name).ok()?;
        // How a message is framed, and what it is, is not the operator's to say.
        let is_ours = [
            "host",
            "content-type",
            "content-length",
            "transfer-encoding",
            "connection",
            "te",
        ];
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        (!is_ours.contains(&name.as_str())).then_some((name, value))
    };
    let pairs = pairs(text).ok_or(Problem::NotPairs)?;
    pairs
        .into_iter()
        .map(header)
        .collect::<Option<_>>()
        .ok_or(Problem::NotPairs)
}

/// The same of a resource; a later one replaces one before it.
pub(super) fn parse_attributes(text: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut attributes: Vec<(String, String)> = Vec::new();
    for (name, value) in pairs(text).ok_or(Problem::NotPairs)? {
        attributes.retain(|(known, _)| *known != name);
        attributes.push((name, value));
    }
    Ok(attributes)
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    const MOST: usize = 128;
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let pairs: Vec<_> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let decode = |text: &str| {
                percent_decode_str(text.trim())
                    .decode_utf8()
                    .map(String::from)
                    .ok()
            };
            let (name, value) = (decode(name)?, decode(value)?);
            (!name.is_empty()).then_some((name, value))
        })
        .collect::<Option<_>>()?;
    (!pairs.is_empty() && pairs.len() <= MOST).then_some(pairs)
}

#[cfg(test)]
mod tests;
