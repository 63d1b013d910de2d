use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::error::HandoverError;

/// How long the other side may take for a word that it needs not think about.
pub(super) const WORD: Duration = Duration::from_secs(5);
/// The largest message: what a budget of many thousand requests a minute has to tell.
const MAX_BYTES: u32 = 16 << 20;
/// How many descriptors are handed over at most.
const MAX_DESCRIPTORS: usize = 8;
/// What goes with the descriptors, which need something to go with.
const DESCRIPTORS: u8 = b'D';

/// What two processes of one user say to each other.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    /// The number of the other process.
    pub(super) pid: Option<i32>,
}

impl Channel {
    /// With the process at the other end, which has to be of our own user.
    pub(super) fn new(stream: UnixStream) -> Result<Self, HandoverError> {
        let peer = stream.peer_cred()?;
        let wanted = rustix::process::geteuid().as_raw();
        if peer.uid() != wanted {
            return Err(HandoverError::OtherUser {
                found: peer.uid(),
                wanted,
            });
        }
        let pid = peer.pid();
        Ok(Self { stream, pid })
    }

    pub(super) async fn send(&mut self, message: &impl Serialize) -> Result<(), HandoverError> {
        let text = serde_json::to_vec(message).map_err(io::Error::from)?;
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        if length > MAX_BYTES {
            return Err(HandoverError::Garbled("a message is too long".to_owned()));
        }
        let bytes = [&length.to_be_bytes()[..], &text].concat();
        let written = timeout(WORD, self.stream.write_all(&bytes)).await;
        self.in_time(written, WORD)?.map_err(broken)
    }

    /// The next message, within this time.
    pub(super) async fn receive<T: DeserializeOwned>(
        &mut self,
        within: Duration,
    ) -> Result<T, HandoverError> {
        let reading = async {
            let length = self.stream.read_u32().await?;
            if length > MAX_BYTES {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
            self.stream.read_exact(&mut text).await?;
            Ok(text)
        };
        let read = timeout(within, reading).await;
        let text = self.in_time(read, within)?.map_err(broken)?;
        serde_json::from_slice(&text).map_err(|error| HandoverError::Garbled(error.to_string()))
    }

    /// Hands descriptors over; the other side gets its own.
    pub(super) async fn send_descriptors(
        &mut self,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), HandoverError> {
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(io::Error::other("there are too many listeners"));
            }
            let byte = [IoSlice::new(&[DESCRIPTORS])];
            Ok(sendmsg(self.stream.as_fd(), &byte, &mut control, SendFlags::NOSIGNAL).map(drop)?)
        };
        let sent = timeout(WORD, self.stream.async_io(Interest::WRITABLE, send)).await;
        self.in_time(sent, WORD)?.map_err(broken)
    }

    pub(super) async fn receive_descriptors(&mut self) -> Result<Vec<OwnedFd>, HandoverError> {
        let receive = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let received = recvmsg(
                self.stream.as_fd(),
                &mut [IoSliceMut::new(&mut byte)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )?;
            if received.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut descriptors = Vec::new();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    descriptors.extend(received);
                }
            }
            if byte != [DESCRIPTORS] {
                return Err(io::ErrorKind::InvalidData.into());
            }
            Ok(descriptors)
        };
        let received = timeout(WORD, self.stream.async_io(Interest::READABLE, receive)).await;
        self.in_time(received, WORD)?.map_err(broken)
    }

    fn in_time<T>(
        &self,
        outcome: Result<T, tokio::time::error::Elapsed>,
        within: Duration,
    ) -> Result<T, HandoverError> {
        outcome.map_err(|_elapsed| HandoverError::Silent {
            within,
            pid: self.pid,
        })
    }
}

/// A process that ends, however it does, closes its end.
fn broken(error: io::Error) -> HandoverError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            HandoverError::Gone
        }
        io::ErrorKind::InvalidData => HandoverError::Garbled(error.to_string()),
        _ => error.into(),
    }
}
