//! Which trace a request belongs to: W3C Trace Context, levels 1 and 2.

use std::fmt;

use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderName};

use crate::text::unique_bits;

/// The header that names the trace and whoever called.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What those that a trace has come through tell each other of it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The caller records the trace.
const SAMPLED: u8 = 0b01;
/// The lower half of the trace id is random.
const RANDOM: u8 = 0b10;
/// The version that is written, and the one whose length is known.
const VERSION: u8 = 0;
const INVALID_VERSION: u8 = 0xff;
/// Where the id of the span stands in what is sent.
const SPAN_AT: usize = 36;
/// How long `traceparent` is.
const TRACEPARENT_BYTES: usize = 55;
/// How much of `tracestate` goes on: as much as everybody should pass on.
const MAX_TRACESTATE_BYTES: usize = 512;
/// How many members it may have; one with more is none.
const MAX_MEMBERS: usize = 32;

/// A trace: 128 bits, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// A span of a trace: 64 bits, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

/// An id in lower-case hexadecimal, as it is written everywhere.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HexId<const LENGTH: usize>([u8; LENGTH]);

/// Which trace a request belongs to, by which name, and whether anybody keeps it. Every request has one, whether or
/// not traces are exported.
#[derive(Clone, Copy, Debug)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    /// Who called, if it said so.
    caller: Option<Caller>,
    recording: Recording,
}

/// What the caller says of its own span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Caller {
    span_id: SpanId,
    flags: u8,
}

/// Whether the request becomes a span here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recording {
    /// No request does: what the caller says goes on as it is.
    Off,
    No,
    Yes,
}

impl TraceId {
    /// In hexadecimal.
    #[must_use]
    pub fn to_hex(self) -> HexId<32> {
        HexId::new(&self.0)
    }

    /// As a number.
    #[must_use]
    pub const fn to_bits(self) -> u128 {
        u128::from_be_bytes(self.0)
    }

    fn new() -> Self {
        // Without random numbers nothing is named, and the trace goes no further.
        let bits = unique_bits().unwrap_or_default();
        Self(bits.to_be_bytes())
    }
}

impl SpanId {
    /// One that no other span has.
    #[must_use]
    pub fn new() -> Self {
        let bits = unique_bits().unwrap_or_default().to_be_bytes();
        Self(bits.first_chunk().copied().unwrap_or_default())
    }

    /// In hexadecimal.
    #[must_use]
    pub fn to_hex(self) -> HexId<16> {
        HexId::new(&self.0)
    }
}

impl Default for SpanId {
    fn default() -> Self {
        Self::new()
    }
}

impl<const LENGTH: usize> HexId<LENGTH> {
    /// `LENGTH` is twice as much as there are bytes.
    fn new(bytes: &[u8]) -> Self {
        let mut hex = [0; LENGTH];
        HEXLOWER.encode_mut(bytes, &mut hex);
        Self(hex)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// As the bytes of the text.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl TraceContext {
    /// The trace of a request with these headers: the caller's, or a new one.
    #[must_use]
    pub fn of_request(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        // Of two nobody knows which one holds.
        let caller = match (values.next(), values.next()) {
            (Some(only), None) => parse_traceparent(only.as_bytes()),
            _ => None,
        };
        match caller {
            Some((trace_id, caller)) => Self {
                trace_id,
                span_id: SpanId::new(),
                caller: Some(caller),
                recording: Recording::Off,
            },
            None => Self::root(),
        }
    }

    /// A trace that begins here.
    #[must_use]
    pub fn root() -> Self {
        Self {
            trace_id: TraceId::new(),
            span_id: SpanId::new(),
            caller: None,
            recording: Recording::Off,
        }
    }

    /// Settles whether the request becomes a span. Until then no request does.
    #[must_use]
    pub const fn recorded(mut self, is_recorded: bool) -> Self {
        self.recording = if is_recorded {
            Recording::Yes
        } else {
            Recording::No
        };
        self
    }

    /// Whether the request becomes a span.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        matches!(self.recording, Recording::Yes)
    }

    /// The trace.
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The gateway's own span of it.
    #[must_use]
    pub const fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// The caller's span, if it named one.
    #[must_use]
    pub fn parent(&self) -> Option<SpanId> {
        self.caller.map(|caller| caller.span_id)
    }

    /// Whether the caller says that it keeps the trace; none where nobody called by name.
    #[must_use]
    pub fn is_sampled_by_caller(&self) -> Option<bool> {
        self.caller.map(|caller| caller.flags & SAMPLED != 0)
    }

    /// What goes up as `traceparent`: the gateway's own span, or the caller's where the gateway makes none, for who
    /// looks for a span should find it. None where there is no name for the trace.
    #[must_use]
    pub fn traceparent(&self) -> Option<[u8; TRACEPARENT_BYTES]> {
        let (span_id, flags) = match (self.recording, self.caller) {
            (Recording::Off, Some(caller)) => (caller.span_id, caller.flags),
            (recording, caller) => {
                let random = caller.map_or(RANDOM, |caller| caller.flags & RANDOM);
                let sampled = if recording == Recording::Yes { SAMPLED } else { 0 };
                (self.span_id, random | sampled)
            }
        };
        if self.trace_id.0 == [0; 16] || span_id.0 == [0; 8] {
            return None;
        }
        let (trace_id, span_id, flags) = (
            self.trace_id.to_hex(),
            span_id.to_hex(),
            HexId::<2>::new(&[flags]),
        );
        let parts: [&[u8]; 7] = [b"00", b"-", &trace_id.0, b"-", &span_id.0, b"-", &flags.0];
        let mut text = [0; TRACEPARENT_BYTES];
        let bytes = parts.into_iter().flatten();
        text.iter_mut()
            .zip(bytes)
            .for_each(|(place, byte)| *place = *byte);
        Some(text)
    }

    /// Where in `traceparent` the id of the span stands.
    #[must_use]
    pub const fn span_at() -> usize {
        SPAN_AT
    }

    /// What of the caller's `tracestate` goes on, member by member: nothing where there is no caller, or where it is
    /// malformed.
    pub fn tracestate<'h>(&self, headers: &'h HeaderMap) -> impl Iterator<Item = &'h str> + use<'h> {
        let is_taken = self.caller.is_some() && headers.contains_key(&TRACESTATE) && is_tracestate(headers);
        let mut left = MAX_TRACESTATE_BYTES;
        let members = is_taken.then(|| members(headers)).into_iter().flatten();
        // Whole members alone, and what comes first is what was written last.
        members.flatten().take_while(move |member| {
            let fits = left.checked_sub(member.len());
            left = fits.unwrap_or_default().saturating_sub(1);
            fits.is_some()
        })
    }
}

/// The trace and its caller, of a `traceparent` that is one. Later versions begin as this one does.
fn parse_traceparent(text: &[u8]) -> Option<(TraceId, Caller)> {
    let (known, rest) = text.split_first_chunk::<TRACEPARENT_BYTES>()?;
    let mut parts = known.split(|byte| *byte == b'-');
    let [version] = hex(parts.next()?)?;
    let trace_id = hex::<16>(parts.next()?)?;
    let span_id = hex::<8>(parts.next()?)?;
    let [flags] = hex(parts.next()?)?;
    let is_whole = match version {
        INVALID_VERSION => false,
        VERSION => rest.is_empty(),
        _ => matches!(rest.first(), None | Some(b'-')),
    };
    let flags = match version {
        VERSION => flags & (SAMPLED | RANDOM),
        // What else later versions mean by them nobody knows.
        _ => flags & SAMPLED,
    };
    let is_valid = is_whole && parts.next().is_none() && trace_id != [0; 16] && span_id != [0; 8];
    is_valid.then_some((
        TraceId(trace_id),
        Caller {
            span_id: SpanId(span_id),
            flags,
        },
    ))
}

/// Exactly so many bytes in lower-case hexadecimal.
fn hex<const LENGTH: usize>(text: &[u8]) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    let fits = text.len() == 2 * LENGTH;
    let decoded = fits
        .then(|| HEXLOWER.decode_mut(text, &mut bytes).ok())
        .flatten()?;
    (decoded == LENGTH).then_some(bytes)
}

/// The members of all `tracestate` headers in their order; none in the place of one that is no text.
fn members(headers: &HeaderMap) -> impl Iterator<Item = Option<&str>> {
    let values = headers.get_all(&TRACESTATE).iter();
    let members = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let members = members
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty());
    members.map(|member| str::from_utf8(member).ok())
}

fn is_tracestate(headers: &HeaderMap) -> bool {
    let mut count = 0;
    members(headers).all(|member| {
        count += 1;
        count <= MAX_MEMBERS && member.is_some_and(is_member)
    })
}

/// `key=value`: a name in lower case, maybe of a tenant at a system, and printable characters.
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else {
        return false;
    };
    let is_key_byte = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'*' | b'/' | b'@')
    };
    let begins_well = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_key = (1..=256).contains(&key.len())
        && key.as_bytes().first().is_some_and(begins_well)
        && key.bytes().all(is_key_byte)
        && key.bytes().filter(|byte| *byte == b'@').count() <= 1;
    let is_value_byte = |byte: u8| matches!(byte, b' '..=b'~') && byte != b',' && byte != b'=';
    is_key && (1..=256).contains(&value.len()) && value.bytes().all(is_value_byte)
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_hex().as_str())
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_hex().as_str())
    }
}

impl<const LENGTH: usize> fmt::Display for HexId<LENGTH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const LENGTH: usize> fmt::Debug for HexId<LENGTH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
