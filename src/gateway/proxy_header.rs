//! The PROXY protocol: what a balancer says before a connection is its client's.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// The longest header of version 1: its line, with the end of it.
const MAX_LINE_BYTES: usize = 107;
/// The longest header of version 2. Addresses take 216 bytes of it at most; the rest are things that
/// balancers add, of which nothing is read.
const MAX_BYTES: usize = 4096;
/// What a header has at least, whatever its version.
const FIRST_BYTES: usize = 12;

/// Why nobody knows whose a connection is.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyHeaderError {
    /// What came is no header, or a longer one than is read.
    #[error("there is no PROXY header")]
    Malformed,
    /// It did not come in time.
    #[error("the PROXY header did not come in time")]
    Late,
    /// The other side left before.
    #[error("the connection ended before its PROXY header: {0}")]
    Left(#[from] io::Error),
}

/// Reads the header, and not a byte after it. There is no address where the balancer speaks for itself, as it
/// does to see whether somebody is there, or does not know.
pub(super) async fn read_proxy_header(
    stream: &mut (impl AsyncRead + Unpin),
    time: Duration,
) -> Result<Option<IpAddr>, ProxyHeaderError> {
    let header = timeout(time, read(stream)).await;
    parse(&header.map_err(|_elapsed| ProxyHeaderError::Late)??)
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, ProxyHeaderError> {
    let mut header = Vec::with_capacity(MAX_LINE_BYTES);
    let mut first = [0; FIRST_BYTES];
    stream.read_exact(&mut first).await?;
    header.extend(first);
    if first == v2::PROTOCOL_PREFIX {
        let fixed @ [_, _, high, low] = stream.read_u32().await?.to_be_bytes();
        header.extend(fixed);
        let length = u16::from_be_bytes([high, low]);
        if header.len() + usize::from(length) > MAX_BYTES {
            return Err(ProxyHeaderError::Malformed);
        }
        let mut rest = stream.take(length.into());
        rest.read_to_end(&mut header).await?;
        if rest.limit() > 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    } else if first.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        // Byte by byte: nobody knows how long it is, and what follows is not the gateway's to keep.
        while !header.ends_with(b"\r\n") {
            if header.len() == MAX_LINE_BYTES {
                return Err(ProxyHeaderError::Malformed);
            }
            header.push(stream.read_u8().await?);
        }
    }
    Ok(header)
}

fn parse(header: &[u8]) -> Result<Option<IpAddr>, ProxyHeaderError> {
    let address = match HeaderResult::parse(header) {
        HeaderResult::V1(Ok(header)) => match header.addresses {
            v1::Addresses::Unknown => None,
            v1::Addresses::Tcp4(addresses) => Some(IpAddr::from(addresses.source_address)),
            v1::Addresses::Tcp6(addresses) => Some(IpAddr::from(addresses.source_address)),
        },
        HeaderResult::V2(Ok(header)) => match (header.command, header.addresses) {
            (v2::Command::Proxy, v2::Addresses::IPv4(addresses)) => Some(addresses.source_address.into()),
            (v2::Command::Proxy, v2::Addresses::IPv6(addresses)) => Some(addresses.source_address.into()),
            (v2::Command::Local, _)
            | (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => None,
        },
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return Err(ProxyHeaderError::Malformed),
    };
    Ok(address.map(|address| address.to_canonical()))
}

#[cfg(test)]
mod tests;
