//! A list of the caller's environments only, out of an upstream list of everybody's.

use std::borrow::Cow;

use bytes::Bytes;

use super::record::Record;
use super::reply::{self, Accepted};
use super::state::Gateway;
use super::upstream_session::UpstreamSession;
use crate::contract::{ApiError, Edits, ListQuery, Object, Operation, RefusedReply, Target};
use crate::environment::EnvironmentId;
use crate::tenancy::PagePosition;
use crate::text::CursorSealer;

/// The largest page that the upstream gives.
const UPSTREAM_PAGE: u16 = 1000;
/// How many of them one request may cost. A page that is not full by then is a short one.
const MAX_UPSTREAM_PAGES: usize = 3;
/// The size of a page where the client names none.
const DEFAULT_LIMIT: u16 = 20;
/// How many of the environments to go on with a cursor names.
const NAMED_NEXT: usize = 4;

const LIST: Target = Target {
    operation: Operation::List,
    environment: None,
};
const BAD_CURSOR: ApiError = ApiError::BadQuery {
    name: "page",
    problem: "must be the next_page of an earlier answer to the same list",
};
const UNREADABLE: ApiError = ApiError::UpstreamReply {
    reason: RefusedReply::NotAnObject,
    after_write: false,
};

impl Gateway {
    /// Reads as much of the upstream's list as it takes to fill the client's page, three pages of 1,000 at most.
    ///
    /// The cursor of the next page names four environments to go on with, and the last that was shown. So a list goes
    /// on where it stopped whatever is created or deleted meanwhile, those of the page before included. Only where all
    /// five are gone, or a thousand new ones have moved them off their upstream page, does it go on by position: then
    /// something may be passed over or told twice.
    pub(super) async fn list_own(
        &self,
        query: &ListQuery,
        upstream: &mut UpstreamSession<'_>,
        record: &mut Record,
    ) -> Result<Accepted, ApiError> {
        let (caller, dialect) = (upstream.caller, upstream.plan().dialect);
        let sealer = self.ownership.sealer()?;
        let scope: &[&str] = &[&caller.tenant.id.0, upstream.claimant().access, dialect.name];
        let mut place = place(query, sealer, scope)?;
        let stamp_key = &self.ownership.stamp_key;
        let is_own = |environment: &Object<'_>, id: &EnvironmentId| {
            caller.allows_environment(id) && self.ownership.is_stamped_for(caller, environment)
        };
        let freshness = upstream.freshness;
        let limit = usize::from(query.limit.unwrap_or(DEFAULT_LIMIT));
        let mut listed: Vec<String> = Vec::new();
        let mut pages_read = 0;
        loop {
            let asked = upstream_query(&place, query.beta);
            let reply = self.read(&LIST, &asked, upstream, freshness, record).await?;
            let reply = reply::success(LIST.operation, reply)?;
            pages_read += 1;
            let text = std::str::from_utf8(&reply.body).map_err(|_| UNREADABLE)?;
            let page = UpstreamPage::read(text, is_own).ok_or(UNREADABLE)?;

            let (taken, next) = page.take(&place, limit - listed.len());
            let shown = taken
                .iter()
                .map(|own| dialect.listed(own.text, &own.environment, stamp_key));
            listed.extend(shown.map(Cow::into_owned));
            match next {
                Some(next) if listed.len() < limit && pages_read < MAX_UPSTREAM_PAGES => place = next,
                next => {
                    let next = next.map(|place| sealer.seal(&place, scope)).transpose();
                    let next = next.map_err(|_| ApiError::Internal)?;
                    let headers = reply::retry_advice(&reply.headers);
                    return Ok(Accepted::list(headers, page.with(&listed, next)));
                }
            }
        }
    }
}

/// Where a list begins: at its start, or where the client's cursor says that this very list goes on.
fn place(query: &ListQuery, sealer: &CursorSealer, scope: &[&str]) -> Result<PagePosition, ApiError> {
    let include_archived = query.include_archived.unwrap_or_default();
    let Some(cursor) = &query.page else {
        return Ok(PagePosition {
            include_archived,
            ..PagePosition::default()
        });
    };
    sealer
        .open(cursor, scope)
        .filter(|place: &PagePosition| place.include_archived == include_archived)
        .ok_or(BAD_CURSOR)
}

fn upstream_query(place: &PagePosition, beta: bool) -> ListQuery {
    ListQuery {
        include_archived: place.include_archived.then_some(true),
        limit: Some(UPSTREAM_PAGE),
        page: place.upstream.clone(),
        beta,
    }
}

/// A page of the upstream's list.
struct UpstreamPage<'t> {
    text: &'t str,
    reply: Object<'t>,
    /// Those of the page that the caller may see, in their order.
    own: Vec<Own<'t>>,
    /// The upstream's cursor of the page after this one.
    next: Option<String>,
}

/// An environment of the caller's on an upstream page.
struct Own<'t> {
    /// Its position among everybody's.
    index: usize,
    id: EnvironmentId,
    text: &'t str,
    environment: Object<'t>,
}

impl<'t> UpstreamPage<'t> {
    /// Reads a page, and of it what `is_own` picks; none where the text is no page.
    fn read(text: &'t str, is_own: impl Fn(&Object<'_>, &EnvironmentId) -> bool) -> Option<Self> {
        let reply = Object::read(text)?;
        let elements = reply.member("data")?.elements()?;
        let own = elements
            .into_iter()
            .enumerate()
            .filter_map(|(index, text)| {
                let environment = Object::read(text)?;
                let id = EnvironmentId::parse(&environment.member("id")?.as_string()?).ok()?;
                is_own(&environment, &id).then_some(Own {
                    index,
                    id,
                    text,
                    environment,
                })
            })
            .collect();
        let next = match reply.member("next_page") {
            Some(next) if !next.is_null() => Some(next.as_string()?.into_owned()),
            _ => None,
        };
        Some(Self {
            text,
            reply,
            own,
            next,
        })
    }

    /// At most `limit` environments from `place` on, and the place after them; none where the list ends there.
    fn take(&self, place: &PagePosition, limit: usize) -> (&[Own<'t>], Option<PagePosition>) {
        let from_place = self.own.get(self.start(place)..).unwrap_or_default();
        let (taken, rest) = from_place.split_at_checked(limit).unwrap_or((from_place, &[]));
        let next = match rest.first() {
            Some(first) => Some(PagePosition {
                upstream: place.upstream.clone(),
                index: first.index,
                next: rest.iter().take(NAMED_NEXT).map(|own| own.id.clone()).collect(),
                last: taken.last().map(|own| own.id.clone()),
                include_archived: place.include_archived,
            }),
            None => self.next.clone().map(|upstream| PagePosition {
                upstream: Some(upstream),
                include_archived: place.include_archived,
                ..PagePosition::default()
            }),
        };
        (taken, next)
    }

    /// Where `place` is among the caller's own: at the first of those to go on with that is still there, else after
    /// the last that was shown, else where the first of them stood.
    fn start(&self, place: &PagePosition) -> usize {
        let position = |id: &EnvironmentId| self.own.iter().position(|own| own.id == *id);
        let named = place.next.iter().find_map(position);
        let after_last = || place.last.as_ref().and_then(position).map(|last| last + 1);
        let by_index = || self.own.partition_point(|own| own.index < place.index);
        named.or_else(after_last).unwrap_or_else(by_index)
    }

    /// The upstream's reply with these environments, and this cursor; its other members stay as they are.
    fn with(&self, listed: &[String], next: Option<String>) -> Bytes {
        // A sealed cursor has no character that JSON would escape.
        let next = next.map_or("null".to_owned(), |next| format!(r#""{next}""#));
        let mut edits = Edits::default();
        if let Some(data) = self.reply.member("data") {
            edits.replace(data, format!("[{}]", listed.join(",")));
        }
        match self.reply.member("next_page") {
            Some(member) => edits.replace(member, next),
            None => edits.change(&self.reply, |_| false, format!(r#""next_page":{next}"#)),
        }
        edits.apply(self.text).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests;
