//! A list of the caller's environments only, out of an upstream list of everybody's.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::exchange::Exchange;
use super::response::{self, Accepted, Outline};
use crate::contract::{
    ApiError, ListedEnvironment, Operation, PageOutline, ReplyError, RequestQuery, Target,
};
use crate::environment::EnvironmentId;
use crate::tenancy::{KeyId, PagePosition, TenantId};
use crate::text::{CursorError, CursorSealer};

/// The largest page that the upstream gives.
const UPSTREAM_PAGE: u16 = 1000;
/// How many of them one request may cost that has found something. A page that is not full by then is a short
/// one.
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
    reason: ReplyError::NotAnObject,
    after_write: false,
};

/// How long it is known where a list stood that found nothing.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// How many of them are known of one tenant.
const REMEMBERED_LISTS: usize = 16;

/// Where lists stood that have found nothing so far, so that a repeat goes on from there.
#[derive(Default)]
pub(super) struct UnfinishedLists(Mutex<HashMap<TenantId, Vec<UnfinishedList>>>);

struct UnfinishedList {
    list: ListKey,
    position: PagePosition,
    known_until: Instant,
}

/// A list: by which key, of what, and from where on.
#[derive(Clone, PartialEq, Eq)]
struct ListKey {
    key: KeyId,
    access: Arc<str>,
    start: PagePosition,
}

impl UnfinishedLists {
    fn remember(&self, tenant: &TenantId, list: ListKey, position: PagePosition) {
        let now = Instant::now();
        let mut lists = self.0.lock();
        lists.retain(|_, lists| {
            lists.retain(|unfinished| unfinished.known_until > now);
            !lists.is_empty()
        });
        let own = lists.entry(tenant.clone()).or_default();
        own.retain(|unfinished| unfinished.list != list);
        if own.len() >= REMEMBERED_LISTS {
            own.remove(0);
        }
        own.push(UnfinishedList {
            list,
            position,
            known_until: now + REMEMBERED_FOR,
        });
    }

    /// Where this list stood; it is not known any more afterwards.
    fn take(&self, tenant: &TenantId, list: &ListKey) -> Option<PagePosition> {
        let mut lists = self.0.lock();
        let own = lists.get_mut(tenant)?;
        let index = own.iter().position(|unfinished| unfinished.list == *list)?;
        let unfinished = own.remove(index);
        (unfinished.known_until > Instant::now()).then_some(unfinished.position)
    }

    /// A tenant has something new, which would stand before where its lists stood.
    pub(super) fn forget(&self, tenant: &TenantId) {
        self.0.lock().remove(tenant);
    }
}

impl Exchange<'_> {
    /// Reads as much of the upstream's list as it takes to fill the client's page: three pages of 1,000 at
    /// most once something was found, and until then as many as the setting allows. A page without anything
    /// on it is the last one: clients stop there, whatever its cursor says.
    ///
    /// The cursor of the next page names four environments to go on with, and the last that was shown. So a
    /// list goes on where it stopped whatever is created or deleted meanwhile, those of the page before
    /// included. Only where all five are gone, or a thousand new ones have moved them off their upstream
    /// page, does it go on by position: then something may be passed over or told twice.
    pub(super) async fn list_own(&mut self) -> Result<Accepted, ApiError> {
        let (query, caller) = (&self.head.query, &self.head.caller);
        let (tenant, access) = (&caller.tenant.id, &self.head.plan.access);
        let sealer = self.gateway.owners.sealer()?;
        let scope: &[&str] = &[&tenant.0, access, self.dialect().name];
        let start = begin(query, sealer, scope)?;
        let list = ListKey {
            key: caller.key,
            access: Arc::clone(access),
            start: start.clone(),
        };
        let unfinished = &self.gateway.unfinished_lists;
        let mut position = unfinished.take(tenant, &list).unwrap_or(start);
        let listed = self
            .list_from(&mut position, |position| sealer.seal(position, scope))
            .await;
        let may_go_on = |error: &ApiError| {
            let status = error.status();
            status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
        };
        if listed.as_ref().is_err_and(may_go_on) && position != list.start {
            unfinished.remember(tenant, list, position);
        }
        listed
    }

    /// Lists from a position on. As long as nothing was found, the position moves with it.
    async fn list_from(
        &mut self,
        position: &mut PagePosition,
        seal: impl Fn(&PagePosition) -> Result<String, CursorError>,
    ) -> Result<Accepted, ApiError> {
        let (owners, dialect) = (&self.gateway.owners, self.dialect());
        let (query, caller) = (&self.head.query, &self.head.caller);
        let is_own = |listed: &&ListedEnvironment| {
            caller.allows_environment(&listed.id) && owners.is_callers(caller, listed.stamp.as_deref())
        };
        let limit = usize::from(query.limit.unwrap_or(DEFAULT_LIMIT));
        let mut place = position.clone();
        let mut shown: Vec<String> = Vec::new();
        let mut pages_read = 0;
        loop {
            let asked = upstream_query(&place, query.beta);
            let reply = self.read(&LIST, &asked, self.freshness).await?;
            pages_read += 1;
            let (outline, reply) = (reply.outline, response::success(LIST.operation, reply.reply)?);
            let Some(Outline::Page(page)) = outline else {
                return Err(UNREADABLE);
            };

            let own: Vec<_> = page.environments.iter().filter(is_own).collect();
            let (taken, next) = take(&page, &own, &place, limit - shown.len());
            let texts = taken.iter().map(|own| page.text_of(&reply.body, own));
            shown.extend(texts.map(|text| dialect.show_listed(text, &owners.stamp_key).into_owned()));
            match next {
                Some(next) if shown.is_empty() => {
                    position.clone_from(&next);
                    let is_late = Instant::now() >= self.upstream.deadline().waiting;
                    if pages_read >= self.configuration.max_list_requests || is_late {
                        return Err(ApiError::ListUnfinished);
                    }
                    place = next;
                }
                Some(next) if shown.len() < limit && pages_read < MAX_UPSTREAM_PAGES => place = next,
                next => {
                    let next = next.map(|next| seal(&next)).transpose();
                    let next = next.map_err(|_| ApiError::Internal)?;
                    let body = page.show(&reply.body, &shown, next.as_deref());
                    return Ok(Accepted::list(response::retry_advice(&reply.headers), body));
                }
            }
        }
    }
}

/// Where a list begins: at its start, or where the client's cursor says that this very list goes on.
fn begin(query: &RequestQuery, sealer: &CursorSealer, scope: &[&str]) -> Result<PagePosition, ApiError> {
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

fn upstream_query(place: &PagePosition, beta: bool) -> RequestQuery {
    RequestQuery {
        include_archived: place.include_archived.then_some(true),
        limit: Some(UPSTREAM_PAGE),
        page: place.upstream.clone(),
        beta,
        ..RequestQuery::default()
    }
}

/// At most `limit` of the caller's `own` on a page, from `place` on, and the place after them; none where the
/// list ends there.
fn take<'p>(
    page: &PageOutline,
    own: &'p [&'p ListedEnvironment],
    place: &PagePosition,
    limit: usize,
) -> (&'p [&'p ListedEnvironment], Option<PagePosition>) {
    let from_place = own.get(start(own, place)..).unwrap_or_default();
    let (taken, rest) = from_place.split_at_checked(limit).unwrap_or((from_place, &[]));
    let next = match rest.first() {
        Some(first) => Some(PagePosition {
            upstream: place.upstream.clone(),
            index: first.index,
            next: rest.iter().take(NAMED_NEXT).map(|own| own.id.clone()).collect(),
            last: taken.last().map(|own| own.id.clone()),
            include_archived: place.include_archived,
        }),
        None => page.next_page.clone().map(|upstream| PagePosition {
            upstream: Some(upstream),
            include_archived: place.include_archived,
            ..PagePosition::default()
        }),
    };
    (taken, next)
}

/// Where `place` is among the caller's own: at the first of those to go on with that is still there, else
/// after the last that was shown, else where the first of them stood.
fn start(own: &[&ListedEnvironment], place: &PagePosition) -> usize {
    let position = |id: &EnvironmentId| own.iter().position(|own| own.id == *id);
    let named = place.next.iter().find_map(position);
    let after_last = || place.last.as_ref().and_then(position).map(|last| last + 1);
    let by_index = || own.partition_point(|own| own.index < place.index);
    named.or_else(after_last).unwrap_or_else(by_index)
}

#[cfg(test)]
mod tests;
