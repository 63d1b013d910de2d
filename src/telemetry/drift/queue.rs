use parking_lot::Mutex;

use crate::contract::UpstreamReply;

/// How many replies may wait, and how many bytes of them. A larger one waits alone.
const MAX_WAITING: usize = 256;
const MAX_BYTES: usize = 1 << 20;

/// Replies that wait to be measured. They share their memory with the answers that they became, so what waits is bounded.
#[derive(Default)]
pub(super) struct ReplyQueue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    replies: Vec<WaitingReply>,
    bytes: usize,
}

pub(super) struct WaitingReply {
    /// What is the same for all replies of the same new shape; none where nobody has looked.
    shape: Option<u64>,
    pub(super) reply: UpstreamReply,
    /// How many such replies there were.
    pub(super) count: u64,
}

impl ReplyQueue {
    /// Leaves a reply here, or only counts it where one of its shape waits already. False where there is no room.
    pub(super) fn offer(&self, shape: Option<u64>, reply: &UpstreamReply) -> bool {
        let mut waiting = self.0.lock();
        let mut same = waiting.replies.iter_mut();
        if shape.is_some()
            && let Some(same) = same.find(|other| other.shape == shape)
        {
            same.count += 1;
            return true;
        }
        let bytes = waiting.bytes + reply.body.len();
        let has_room = waiting.replies.len() < MAX_WAITING && bytes <= MAX_BYTES;
        if !has_room && !waiting.replies.is_empty() {
            return false;
        }
        waiting.bytes = bytes;
        waiting.replies.push(WaitingReply {
            shape,
            reply: reply.clone(),
            count: 1,
        });
        true
    }

    pub(super) fn take(&self) -> Vec<WaitingReply> {
        std::mem::take(&mut *self.0.lock()).replies
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().replies.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::*;
    use crate::contract::Operation;

    fn reply(bytes: usize) -> UpstreamReply {
        UpstreamReply {
            operation: Operation::Update,
            status: StatusCode::OK,
            is_encoded: false,
            body: Bytes::from(vec![b' '; bytes]),
        }
    }

    #[test]
    fn so_many_wait_and_so_many_bytes_and_a_large_one_alone() {
        let queue = ReplyQueue::default();
        let offer = |shape, bytes| queue.offer(Some(shape), &reply(bytes));
        assert!(offer(1, 32 << 20), "it is alone");
        assert!(!offer(2, 1), "there is no room beside it");
        assert!(offer(1, 1), "one of the shape waits");
        assert_eq!(queue.take().pop().unwrap().count, 2);
        let taken = (0..1000).filter(|shape| offer(*shape, 16)).count();
        assert_eq!(taken, MAX_WAITING);
        queue.take();
        let taken = (0..1000).filter(|shape| offer(*shape, 16 << 10)).count();
        assert_eq!(taken, MAX_BYTES >> 14);
        queue.take();
        assert!(queue.is_empty());
        assert!(queue.offer(None, &reply(1)) && queue.offer(None, &reply(1)));
        assert_eq!(
            queue.take().len(),
            2,
            "nobody knows whether they are of one shape"
        );
    }
}
