//! Whether an address can be listened on, and who has it if not.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::server;

/// How an address is.
pub(super) enum AddressState {
    Free,
    /// By whom, where this process may see it.
    Taken(Option<Holder>),
    /// It cannot be listened on, whoever has it.
    Unusable(io::Error),
}

/// A process that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: u32,
    pub(super) name: String,
    /// Whose it is.
    pub(super) uid: u32,
}

/// Listens for a moment, and gives the address back.
pub(super) fn look(address: SocketAddr) -> AddressState {
    match server::bind(address) {
        Ok(_) => AddressState::Free,
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => AddressState::Taken(holder(address)),
        Err(error) => AddressState::Unusable(error),
    }
}

/// Linux tells for each socket that listens its inode, and for each descriptor of a process that we may look at whose
/// inode it is.
fn holder(address: SocketAddr) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inodes: Vec<String> = tables
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| inodes_at(&table, address))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?;
    let mut pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| has_one_of(*pid, &inodes)).map(|pid| Holder {
        pid,
        name: fs::read_to_string(format!("/proc/{pid}/comm"))
            .map_or_else(|_| "a process".to_owned(), |name| name.trim().to_owned()),
        uid: fs::metadata(format!("/proc/{pid}")).map_or(0, |process| process.uid()),
    })
}

fn has_one_of(pid: u32, inodes: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")) else {
        return false;
    };
    descriptors.filter_map(Result::ok).any(|descriptor| {
        fs::read_link(descriptor.path())
            .is_ok_and(|target| inodes.iter().any(|inode| target.as_os_str() == inode.as_str()))
    })
}

/// The inodes of sockets that listen at an address, in the table of a kernel.
fn inodes_at(table: &str, address: SocketAddr) -> Vec<String> {
    let inodes = table.lines().skip(1).filter_map(|line| inode_at(line, address));
    inodes.map(str::to_owned).collect()
}

/// That of one line, if its socket listens there.
fn inode_at(line: &str, address: SocketAddr) -> Option<&str> {
    const LISTENS: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let is_there = *fields.get(3)? == LISTENS
        && u16::from_str_radix(port, 16).ok()? == address.port()
        && overlaps(parse_ip(ip)?, address.ip());
    fields.get(9).copied().filter(|_| is_there)
}

/// Whether who listens at one address has the other one too.
fn overlaps(one: IpAddr, other: IpAddr) -> bool {
    let (one, other) = (one.to_canonical(), other.to_canonical());
    one == other || one.is_unspecified() || other.is_unspecified()
}

/// An address as the kernel writes it: words of 32 bits, each as this machine has it in memory.
fn parse_ip(hex: &str) -> Option<IpAddr> {
    let words: Option<Vec<[u8; 4]>> = (0..hex.len() / 8)
        .map(|word| {
            let digits = hex.get(word * 8..word * 8 + 8)?;
            Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
        })
        .collect();
    let bytes = words?.concat();
    match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => Some(IpAddr::from(four)),
        Err(_) => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_endian = "little")]
    #[test]
    fn who_listens_is_found_in_the_kernels_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1 0 100 0 0 10 0\n\
            1: 0100007F:1F90 0100007F:AAAA 01 00000000:00000000 00:00000000 00000000  1000        0 222 1 0 100 0 0 10 0\n\
            2: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 333 1 0 100 0 0 10 0\n";
        let at = |address: &str| inodes_at(table, address.parse().unwrap());
        assert_eq!(at("127.0.0.1:8080"), ["111"]);
        assert_eq!(at("0.0.0.0:8080"), ["111"], "both cannot be had");
        assert_eq!(at("10.0.0.1:8081"), ["333"]);
        assert_eq!(at("127.0.0.2:8080"), Vec::<String>::new());
        assert_eq!(
            parse_ip("0000000000000000FFFF00000100007F")
                .unwrap()
                .to_canonical(),
            IpAddr::from([127, 0, 0, 1])
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_port_of_this_process_is_said_to_be_its_own() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let AddressState::Taken(Some(holder)) = look(listener.local_addr().unwrap()) else {
            panic!("nobody has it");
        };
        assert_eq!(holder.pid, std::process::id());
    }
}
