use super::Gateway;
use super::response;
use crate::contract::{Layout, Object, Operation, UpstreamReply};
use crate::upstream::Reply;

/// A reply of the upstream's, read once for all that wants to know something of it.
pub(super) struct ReceivedReply {
    pub(super) reply: Reply,
    /// Where the values of its body stand; none where nobody can read it, or nobody wants to.
    layout: Option<Layout>,
}

impl ReceivedReply {
    /// Reads a reply that nobody else looks at, as far as it is a success.
    pub(super) fn new(reply: Reply) -> Self {
        let is_wanted = reply.status.is_success() && !response::is_encoded(&reply.headers);
        let text = is_wanted.then(|| str::from_utf8(&reply.body).ok()).flatten();
        Self {
            layout: text.and_then(Layout::of),
            reply,
        }
    }

    /// Reads a reply to `operation`, and lets it be looked at whether it still is what the contract says.
    pub(super) fn observed(gateway: &Gateway, operation: Operation, reply: Reply) -> Self {
        let Some(watch) = gateway.drift() else {
            return Self::new(reply);
        };
        let received = UpstreamReply {
            operation,
            status: reply.status,
            is_encoded: response::is_encoded(&reply.headers),
            body: reply.body.clone(),
        };
        let text = received.text().unwrap_or_default();
        let layout = Layout::of(text);
        watch.observe(&received, layout.as_ref().and_then(|layout| layout.root(text)));
        Self { reply, layout }
    }

    /// The object that the body is; none where it is anything else.
    pub(super) fn object(&self) -> Option<Object<'_>> {
        self.layout
            .as_ref()?
            .object(str::from_utf8(&self.reply.body).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::header::CONTENT_ENCODING;
    use http::{HeaderValue, StatusCode};

    use super::*;

    #[test]
    fn what_nobody_can_read_says_nothing() {
        let received = |body: &'static [u8], encoding: Option<&'static str>| {
            let encoding = encoding.map(HeaderValue::from_static);
            let reply = Reply {
                status: StatusCode::OK,
                headers: encoding
                    .map(|encoding| (CONTENT_ENCODING, encoding))
                    .into_iter()
                    .collect(),
                body: Bytes::from_static(body),
            };
            ReceivedReply::new(reply)
        };
        assert!(received(b"{\"id\":\"e\"}", None).object().is_some());
        assert!(received(b"{\"id\":\"e\"}", Some("gzip")).object().is_none());
        for body in [&b""[..], b"[]", b"{\"id\":\"\xff\"}", b"{}{}"] {
            assert!(received(body, None).object().is_none(), "{body:?}");
        }
    }
}
