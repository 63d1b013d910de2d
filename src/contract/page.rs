//! A page of the upstream's list, of which everybody sees their own part.

use std::ops::Range;

use bytes::Bytes;

use super::{Edits, Object, StampKey};
use crate::environment::EnvironmentId;

/// What was read of a page of a list, once for all who get it: the text itself stays apart, so that it can be
/// shared.
#[derive(Debug)]
pub struct PageOutline {
    /// The environments, in their order.
    pub environments: Vec<ListedEnvironment>,
    /// The upstream's cursor of the page after this one.
    pub next_page: Option<String>,
    /// Where the list of them stands.
    data: Range<usize>,
    /// Where `next_page` stands, or would, after these bytes.
    next_page_at: (Range<usize>, &'static str),
}

/// An environment on a page.
#[derive(Debug)]
pub struct ListedEnvironment {
    /// Its id.
    pub id: EnvironmentId,
    /// The stamp that it has.
    pub stamp: Option<String>,
    /// Its position on the page, among all objects.
    pub index: usize,
    span: Range<usize>,
}

impl PageOutline {
    /// Reads a page; none where it is none. What is no environment with an id is passed over.
    ///
    /// ```
    /// use envgate::contract::{Layout, PageOutline, StampKey};
    ///
    /// let text = r#"{"data": [{"id": "env_1"}, {"id": "env_2"}], "next_page": "p2"}"#;
    /// let layout = Layout::of(text).unwrap();
    /// let outline = PageOutline::read(layout.object(text).unwrap(), &StampKey::default()).unwrap();
    /// let page = text.as_bytes();
    /// let second = outline.text_of(page, &outline.environments[1]);
    /// assert_eq!(second, r#"{"id": "env_2"}"#);
    /// assert_eq!(
    ///     outline.show(page, &[second.to_owned()], None),
    ///     r#"{"data": [{"id": "env_2"}], "next_page": null}"#
    /// );
    /// ```
    #[must_use]
    pub fn read(page: Object<'_>, stamp_key: &StampKey) -> Option<Self> {
        let data = page.member("data")?;
        let environments = data
            .objects()?
            .enumerate()
            .filter_map(|(index, environment)| {
                let id = EnvironmentId::parse(&environment.member("id")?.as_string()?).ok()?;
                Some(ListedEnvironment {
                    id,
                    stamp: stamp_key.read(environment).map(Into::into),
                    index,
                    span: environment.span(),
                })
            })
            .collect();
        let (next_page, next_page_at) = match page.member("next_page") {
            Some(next) => {
                let cursor = match next.is_null() {
                    true => None,
                    false => Some(next.as_string()?.into_owned()),
                };
                (cursor, (next.span(), ""))
            }
            None => {
                // There is a last member: `data`, or one after it.
                let end = page.members().last()?.span().end;
                (None, (end..end, r#","next_page":"#))
            }
        };
        Some(Self {
            environments,
            next_page,
            data: data.span(),
            next_page_at,
        })
    }

    /// An environment as it is written on the page that the outline was made of.
    #[must_use]
    pub fn text_of<'t>(&self, page: &'t [u8], environment: &ListedEnvironment) -> &'t str {
        let text = page.get(environment.span.clone()).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }

    /// The page that the outline was made of, with these environments and this cursor; its other members stay
    /// as they are. The cursor has no character that JSON would escape.
    #[must_use]
    pub fn show(&self, page: &[u8], environments: &[String], next_page: Option<&str>) -> Bytes {
        let (at, before) = &self.next_page_at;
        let next_page = next_page.map_or("null".to_owned(), |cursor| format!(r#""{cursor}""#));
        let mut edits = Edits::default();
        edits.write(self.data.clone(), format!("[{}]", environments.join(",")));
        edits.write(at.clone(), format!("{before}{next_page}"));
        let text = std::str::from_utf8(page).unwrap_or_default();
        edits.apply(text).unwrap_or_default().into()
    }

    /// How many bytes it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = |listed: &ListedEnvironment| {
            listed.id.as_str().len() + listed.stamp.as_ref().map_or(0, String::capacity)
        };
        let next_page = self.next_page.as_ref().map_or(0, String::capacity);
        let environments = self.environments.capacity() * size_of::<ListedEnvironment>();
        size_of::<Self>() + environments + self.environments.iter().map(texts).sum::<usize>() + next_page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Layout;

    fn read(text: &str) -> Option<PageOutline> {
        PageOutline::read(Layout::of(text)?.object(text)?, &StampKey::default())
    }

    #[test]
    fn all_but_the_environments_and_the_cursor_stays_as_it_came() {
        let show = |text: &str, environments: &[&str], next_page| {
            let environments: Vec<_> = environments.iter().map(|text| (*text).to_owned()).collect();
            read(text)
                .unwrap()
                .show(text.as_bytes(), &environments, next_page)
        };
        assert_eq!(
            show(
                r#" {"first_id": 1e400, "data": [ ] , "next_page" : "theirs","x":{"data":[1]}} "#,
                &["{ }", "{}"],
                Some("ours")
            ),
            r#" {"first_id": 1e400, "data": [{ },{}] , "next_page" : "ours","x":{"data":[1]}} "#
        );
        assert_eq!(
            show(r#"{"data":[]}"#, &[], None),
            r#"{"data":[],"next_page":null}"#
        );
        assert_eq!(
            show(r#"{"data":[{}],"x":1}"#, &[], Some("c")),
            r#"{"data":[],"x":1,"next_page":"c"}"#
        );
    }

    #[test]
    fn what_is_no_page_is_not_read() {
        for text in ["", "[]", "{}", r#"{"data":{}}"#, r#"{"data":[],"next_page":1}"#] {
            assert!(read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_is_no_environment_is_passed_over() {
        let page = read(r#"{"data":[1,{},{"id":2},{"id":"/"},{"id":"env_1"}],"next_page":"p\/2"}"#).unwrap();
        assert_eq!(page.next_page.as_deref(), Some("p/2"));
        let listed = page.environments.as_slice();
        assert_eq!(
            (listed.len(), listed[0].id.as_str(), listed[0].index),
            (1, "env_1", 3)
        );
    }
}
