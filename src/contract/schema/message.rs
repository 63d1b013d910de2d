//! Which place of a request an upstream's message is about, where it names one. Its texts are written for people and
//! may repeat what a tenant has sent: nothing of them is kept but names that the schema itself has.

use super::shape::{Others, Shape};
use crate::text::{JsonPointer, unescape_pointer_token};

/// How much of a message is looked at.
const MOST_BYTES: usize = 1024;
/// How deep a place may be.
const MOST_STEPS: usize = 32;
/// What messages put before a path of the body.
const WRAPPERS: [&str; 5] = ["body", "environment", "environments", "params", "request"];

/// A step of a path as a message writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Index,
}

/// The pointer to the place that a message names: of names that the schema has, with `*` for an element of a list and
/// for a key of a map. Empty where it names none, or one that the schema does not have.
pub(super) fn find_place(message: &str, shape: &Shape) -> String {
    let message = message
        .get(..message.floor_char_boundary(MOST_BYTES))
        .unwrap_or_default();
    candidates(message)
        .find_map(|(text, least_steps)| {
            let steps = read_path(text)?;
            (steps.len() >= least_steps).then_some(())?;
            resolve(&steps, shape).or_else(|| resolve(unwrapped(&steps)?, shape))
        })
        .unwrap_or_default()
}

/// What may be a path, the likeliest first, and how many steps it must have to be one: what stands before a colon, in
/// backquotes, anywhere with several steps, and the first word.
fn candidates(message: &str) -> impl Iterator<Item = (&str, usize)> {
    let words = || message.split_whitespace().map(trim_punctuation);
    let before_colon = message
        .split(": ")
        .next()
        .filter(|text| text.len() < message.len());
    let quoted = message.split('`').skip(1).step_by(2);
    before_colon
        .into_iter()
        .chain(quoted)
        .map(|text| (text, 1))
        .chain(words().map(|word| (word, 2)))
        .chain(words().take(1).map(|word| (word, 1)))
}

fn trim_punctuation(word: &str) -> &str {
    word.trim_matches(|character| matches!(character, '"' | '\'' | '(' | ')' | ',' | ';' | ':' | '.' | '`'))
}

/// Takes a path apart: `config.networking.allowed_hosts[0]`, `/config/packages/pip/0`, `$.metadata["a b"]`.
fn read_path(text: &str) -> Option<Vec<Step>> {
    let steps = match text.strip_prefix('/') {
        Some(pointer) => pointer.split('/').map(step_of_pointer).collect(),
        None => read_dotted(text.strip_prefix('$').unwrap_or(text))?,
    };
    (1..=MOST_STEPS).contains(&steps.len()).then_some(steps)
}

fn step_of_pointer(token: &str) -> Step {
    step(&unescape_pointer_token(token))
}

fn step(text: &str) -> Step {
    let is_index = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_index || text == "*" {
        return Step::Index;
    }
    Step::Name(text.to_owned())
}

fn read_dotted(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if steps.len() > MOST_STEPS {
            return None;
        }
        if let Some(inside) = rest.strip_prefix('[') {
            let (token, after) = inside.split_once(']')?;
            steps.push(match token.trim_matches(['"', '\'']) {
                "" => Step::Index,
                name => step(name),
            });
            rest = after;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        steps.push(step(name));
        rest = after;
    }
    Some(steps)
}

/// The path without what messages put before it.
fn unwrapped(steps: &[Step]) -> Option<&[Step]> {
    let (first, rest) = steps.split_first()?;
    let is_wrapper = matches!(first, Step::Name(name) if WRAPPERS.contains(&name.as_str()));
    match rest {
        _ if !is_wrapper => None,
        [Step::Index, rest @ ..] => Some(rest),
        rest => Some(rest),
    }
}

/// The pointer to a path whose every step the schema knows.
fn resolve(steps: &[Step], root: &Shape) -> Option<String> {
    let mut pointer = JsonPointer::default();
    let mut shape = root;
    for step in steps {
        match step {
            Step::Index => {
                pointer.push_name("*");
                shape = branches(shape)
                    .into_iter()
                    .find_map(|branch| branch.items.as_deref())?;
            }
            Step::Name(name) => {
                if let Some(member) = branches(shape).into_iter().find_map(|branch| branch.member(name)) {
                    pointer.push_name(name);
                    shape = member;
                    continue;
                }
                // A key of a map may have dots, which look like further steps.
                let each = branches(shape)
                    .into_iter()
                    .find_map(|branch| match &branch.others {
                        Others::Each(each) => Some(each),
                        Others::Open | Others::Closed => None,
                    })?;
                pointer.push_name("*");
                if each.members.is_empty() && each.items.is_none() {
                    break;
                }
                shape = each;
            }
        }
    }
    Some(pointer.into()).filter(|pointer: &String| !pointer.is_empty())
}

/// A shape, and what it also is in one case or another.
fn branches(shape: &Shape) -> Vec<&Shape> {
    let mut found = vec![shape];
    let mut next = 0;
    while let Some(branch) = found.get(next).copied() {
        // The one that says something of a member, before the one that only lets it be there.
        found.extend(branch.cases.iter().map(|case| &*case.then));
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests;
