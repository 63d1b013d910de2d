//! Listeners that somebody else has bound: systemd, or the process that this one follows.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use listenfd::ListenFd;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::SocketType;
use rustix::net::sockopt::{socket_acceptconn, socket_type};
use socket2::SockRef;

use super::acceptor::set_up;

/// The listeners that the process was started with, by way of systemd's `LISTEN_FDS`.
#[derive(Debug, Default)]
pub struct InheritedListeners(Vec<(Option<String>, TcpListener)>);

/// Why a listener is not used.
#[derive(Debug, thiserror::Error)]
pub enum InheritedListenerError {
    /// Something else was handed over.
    #[error("descriptor {number} of LISTEN_FDS is no listening TCP socket: {reason}")]
    NoListener {
        /// Its number.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// It is not where the settings want it.
    #[error("LISTEN_FDNAMES hands {name} a socket at {found}, and {name}.address is {wanted}")]
    Elsewhere {
        /// Which of the two it was meant to be.
        name: &'static str,
        /// Where it listens.
        found: SocketAddr,
        /// Where it should.
        wanted: SocketAddr,
    },
    /// It fits neither address.
    #[error("LISTEN_FDS hands over a socket at {found}, which is neither listen.address nor admin.address")]
    Unwanted {
        /// Where it listens.
        found: SocketAddr,
    },
    /// There are several for one address.
    #[error("LISTEN_FDS hands over more than one socket for {0}.address")]
    Repeated(&'static str),
}

impl InheritedListeners {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes those that the environment tells of, if it tells this process; the variables are gone afterwards. To be
    /// called once, before there are other threads and other descriptors.
    ///
    /// # Errors
    /// [`InheritedListenerError::NoListener`]
    pub fn take() -> Result<Self, InheritedListenerError> {
        // No settings of envgate's, but systemd's word.
        let variable = |name| std::env::var_os(name).and_then(|value| value.into_string().ok());
        let is_ours = variable("LISTEN_PID").is_some_and(|pid| pid == std::process::id().to_string());
        if !is_ours {
            return Ok(Self::default());
        }
        let names = variable("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut inherited = ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..inherited.len() {
            let fault = |reason: String| InheritedListenerError::NoListener {
                number: index + FIRST,
                reason,
            };
            let name = names.next().map(str::to_owned);
            let listener = inherited
                .take_tcp_listener(index)
                .map_err(|error| fault(error.to_string()))?
                .ok_or_else(|| fault("it was taken already".to_owned()))?;
            check(&listener).map_err(|error| fault(error.to_string()))?;
            listeners.push((name, listener));
        }
        Ok(Self(listeners))
    }

    /// Those for each of these addresses, in their order: by its name, where it has one of theirs, else by where it
    /// listens.
    ///
    /// # Errors
    /// [`InheritedListenerError`] where one is there that nobody wants.
    pub fn assign<const COUNT: usize>(
        self,
        wanted: [(&'static str, SocketAddr); COUNT],
    ) -> Result<[Option<TcpListener>; COUNT], InheritedListenerError> {
        let mut assigned = [const { None }; COUNT];
        for (number, (name, listener)) in (FIRST..).zip(self.0) {
            let fault = |error: io::Error| InheritedListenerError::NoListener {
                number,
                reason: error.to_string(),
            };
            let found = listener.local_addr().map_err(fault)?;
            let named = wanted
                .iter()
                .position(|(wanted, _)| Some(*wanted) == name.as_deref());
            let fits = |(_, address): &(_, SocketAddr)| listens_at(found, *address);
            let index = named.or_else(|| wanted.iter().position(fits));
            let place = index.and_then(|index| Some((wanted.get(index)?, assigned.get_mut(index)?)));
            let Some(((name, address), place)) = place else {
                return Err(InheritedListenerError::Unwanted { found });
            };
            if !listens_at(found, *address) {
                return Err(InheritedListenerError::Elsewhere {
                    name,
                    found,
                    wanted: *address,
                });
            }
            if place.replace(prepare(listener).map_err(fault)?).is_some() {
                return Err(InheritedListenerError::Repeated(name));
            }
        }
        Ok(assigned)
    }
}

/// The number of the first descriptor that systemd hands over.
const FIRST: usize = 3;

/// Takes a listener over from another process.
///
/// # Errors
/// Where it is none, or not of TCP.
pub fn take_over(descriptor: OwnedFd) -> io::Result<TcpListener> {
    let listener = TcpListener::from(descriptor);
    check(&listener)?;
    prepare(listener)
}

/// Whether a listener at `found` is one that the settings want at `wanted`: port 0 is any port, and all addresses
/// of IPv6 may mean all of IPv4 too.
///
/// ```
/// let fits = |found: &str, wanted: &str| {
///     envgate::server::listens_at(found.parse().unwrap(), wanted.parse().unwrap())
/// };
/// assert!(fits("[::]:8080", "0.0.0.0:8080") && fits("127.0.0.1:4711", "127.0.0.1:0"));
/// assert!(!fits("0.0.0.0:8080", "127.0.0.1:8080") && !fits("127.0.0.1:8080", "127.0.0.1:8081"));
/// ```
#[must_use]
pub fn listens_at(found: SocketAddr, wanted: SocketAddr) -> bool {
    let is_there = |ip: IpAddr| ip == wanted.ip() || ip.is_unspecified() && wanted.ip().is_unspecified();
    is_there(found.ip()) && (wanted.port() == 0 || found.port() == wanted.port())
}

fn check(listener: &TcpListener) -> io::Result<()> {
    if socket_type(listener)? != SocketType::STREAM || !socket_acceptconn(listener)? {
        return Err(io::Error::other("it does not listen"));
    }
    let domain = SockRef::from(listener).domain()?;
    if domain != socket2::Domain::IPV4 && domain != socket2::Domain::IPV6 {
        return Err(io::Error::other("it is not of TCP"));
    }
    listener.local_addr().map(drop)
}

/// Makes it as our own would be.
fn prepare(listener: TcpListener) -> io::Result<TcpListener> {
    let descriptor = listener.as_fd();
    fcntl_setfd(descriptor, fcntl_getfd(descriptor)? | FdFlags::CLOEXEC)?;
    listener.set_nonblocking(true)?;
    set_up(&SockRef::from(&listener))?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::server::bind;

    const ANY: &str = "127.0.0.1:0";

    fn listener() -> TcpListener {
        bind(ANY.parse().unwrap()).unwrap()
    }

    fn assign(
        names: &[Option<&str>],
        wanted: [&str; 2],
    ) -> Result<[Option<TcpListener>; 2], InheritedListenerError> {
        let listeners = names.iter().map(|name| (name.map(str::to_owned), listener()));
        let [listen, admin] = wanted.map(|address| address.parse().unwrap());
        InheritedListeners(listeners.collect()).assign([("listen", listen), ("admin", admin)])
    }

    #[test]
    fn a_name_says_what_a_listener_is_for_and_else_its_address() {
        let [listen, admin] = assign(&[Some("admin")], [ANY, ANY]).unwrap();
        assert!(listen.is_none() && admin.is_some());
        let [listen, admin] = assign(&[Some("envgate.socket")], [ANY, "127.0.0.1:1"]).unwrap();
        assert!(listen.is_some() && admin.is_none());
        let both = assign(&[Some("admin"), Some("listen")], [ANY, ANY]).unwrap();
        assert!(both.iter().all(Option::is_some));
    }

    #[test]
    fn a_listener_that_is_elsewhere_or_one_too_many_is_refused() {
        let elsewhere = assign(&[Some("listen")], ["127.0.0.1:1", ANY])
            .unwrap_err()
            .to_string();
        assert!(elsewhere.contains("listen.address is 127.0.0.1:1"), "{elsewhere}");
        let unwanted = assign(&[None], ["127.0.0.1:1", "127.0.0.2:0"]).unwrap_err();
        assert!(matches!(unwanted, InheritedListenerError::Unwanted { .. }));
        let repeated = assign(&[Some("listen"), Some("listen")], [ANY, ANY]).unwrap_err();
        assert!(matches!(repeated, InheritedListenerError::Repeated("listen")));
    }

    #[test]
    fn what_does_not_listen_to_tcp_is_not_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let unix = UnixListener::bind(directory.path().join("socket")).unwrap();
        assert!(take_over(unix.into()).is_err());
        let listener = listener();
        let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(take_over(connected.into()).is_err());
        assert!(take_over(std::fs::File::open("/dev/null").unwrap().into()).is_err());
        assert!(take_over(listener.into()).is_ok());
    }
}
