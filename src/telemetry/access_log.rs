//! A line for each request, as the log would have written it, without an event of the log for it.
//!
//! An event walks through filters and a visitor of its fields, and allocates on its way; here a line is written at once
//! into memory of the thread's own, and copied to those that wait to be written.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use jiff::Timestamp;

use super::LineWriter;
use super::line_buffer::{LineBuffer, field};
use crate::config::LogFormat;
use crate::text::{Ratio, format_timestamp};

/// What a line for a request is about.
pub(super) const TARGET: &str = "envgate::access";

/// Where the lines of requests go.
#[derive(Debug)]
pub struct AccessLog {
    lines: Arc<LineWriter>,
    /// How much may wait for whoever reads them.
    max_bytes: usize,
    format: LogFormat,
    is_enabled: AtomicBool,
}

/// What is told of a request. There is no credential, no query string and no body in it.
#[derive(Clone, Copy, Debug)]
pub struct AccessLine<'a> {
    /// The name of the request.
    pub request_id: &'a str,
    /// The trace that it is a part of.
    pub trace_id: u128,
    /// The address of whoever asked.
    pub client: Option<IpAddr>,
    /// The name of the tenant.
    pub tenant: Option<&'a str>,
    /// The public prefix of the key.
    pub key: Option<&'a str>,
    /// What was asked for.
    pub operation: Option<&'static str>,
    /// The status that the client got.
    pub status: u16,
    /// The kind of what it failed with.
    pub error: Option<&'static str>,
    /// From its header to the last byte of its answer.
    pub total: Duration,
    /// What of it the upstream took.
    pub upstream: Duration,
    /// What of it its turn was waited for.
    pub waited: Duration,
    /// What of it the client took for its body and for the answer.
    pub client_time: Duration,
    /// What of it the gateway itself took.
    pub own: Duration,
    /// The share of requests like it that have a line; none where all have.
    pub sample_ratio: Option<Ratio>,
}

/// A thread's own memory for the line that it writes.
struct Scratch {
    bytes: Vec<u8>,
    /// The second, counted from 1970, that `date` is of.
    second: u64,
    /// It up to the point before its fraction.
    date: String,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = const {
        RefCell::new(Scratch { bytes: Vec::new(), second: 0, date: String::new() })
    };
}

impl AccessLog {
    /// Writes lines that look so to `lines`, while no more than `max_bytes` wait there.
    #[must_use]
    pub fn new(lines: Arc<LineWriter>, max_bytes: usize, format: LogFormat) -> Self {
        Self {
            lines,
            max_bytes,
            format,
            is_enabled: AtomicBool::new(true),
        }
    }

    /// Whether anybody wants lines.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.is_enabled.load(Ordering::Relaxed)
    }

    /// Says whether anybody wants lines, from now on.
    pub fn enable(&self, is_enabled: bool) {
        self.is_enabled.store(is_enabled, Ordering::Relaxed);
    }

    /// Writes a line, unless nobody wants any.
    pub fn write(&self, line: &AccessLine<'_>) {
        if !self.is_enabled() {
            return;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            scratch.write(line, self.format, now);
            self.lines.push_within(&scratch.bytes, self.max_bytes);
        });
    }
}

impl Scratch {
    fn write(&mut self, line: &AccessLine<'_>, format: LogFormat, now: Duration) {
        self.set_date(now.as_secs());
        self.bytes.clear();
        let bytes = &mut self.bytes;
        bytes.extend_from_slice(match format {
            LogFormat::Text => b"",
            LogFormat::Json => b"{\"timestamp\":\"",
        });
        bytes.extend_from_slice(self.date.as_bytes());
        let mut buffer = LineBuffer::new(bytes, format == LogFormat::Json);
        buffer.push_microseconds(now.subsec_micros());
        buffer.push(match format {
            LogFormat::Text => b"Z  INFO envgate::access: request",
            LogFormat::Json => b"Z\",\"level\":\"INFO\",\"message\":\"request\"",
        });
        line.write_fields(&mut buffer);
        buffer.push(match format {
            LogFormat::Text => b"\n",
            LogFormat::Json => b",\"target\":\"envgate::access\"}\n",
        });
    }

    fn set_date(&mut self, second: u64) {
        if self.second == second && !self.date.is_empty() {
            return;
        }
        let time = i64::try_from(second)
            .ok()
            .and_then(|second| Timestamp::from_second(second).ok());
        let mut date = format_timestamp(time.unwrap_or_default());
        date.truncate(date.len().saturating_sub("000000Z".len()));
        (self.second, self.date) = (second, date);
    }
}

impl AccessLine<'_> {
    fn write_fields(&self, buffer: &mut LineBuffer<'_>) {
        buffer.add_text(field!("request_id"), self.request_id);
        let mut trace_id = [0; 32];
        HEXLOWER.encode_mut(&self.trace_id.to_be_bytes(), &mut trace_id);
        buffer.add_plain_text(field!("trace_id"), &trace_id);
        if let Some(client) = self.client {
            buffer.add_address(field!("client"), client);
        }
        if let Some(tenant) = self.tenant {
            buffer.add_text(field!("tenant"), tenant);
        }
        if let Some(key) = self.key {
            buffer.add_text(field!("key"), key);
        }
        if let Some(operation) = self.operation {
            buffer.add_plain_text(field!("operation"), operation.as_bytes());
        }
        buffer.add_number(field!("status"), u64::from(self.status));
        if let Some(error) = self.error {
            buffer.add_plain_text(field!("error"), error.as_bytes());
        }
        buffer.add_milliseconds(field!("duration_ms"), self.total);
        buffer.add_milliseconds(field!("upstream_ms"), self.upstream);
        buffer.add_milliseconds(field!("waited_ms"), self.waited);
        buffer.add_milliseconds(field!("client_ms"), self.client_time);
        buffer.add_milliseconds(field!("own_ms"), self.own);
        if let Some(ratio) = self.sample_ratio {
            buffer.add_ratio(field!("sample_ratio"), ratio);
        }
    }
}

#[cfg(test)]
mod tests;
