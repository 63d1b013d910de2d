use std::ops::ControlFlow;

use serde_json::{Map, Value};

use super::hint;
use super::instance_path::InstancePath;
use super::shape::{Case, Others, RuleName, Shape};
use super::wording;
use crate::contract::{BodyStrictness, Rule, Strictness, Violation, Violations, Warnings};

/// A walk over a body that breaks its schema, in document order. It tells what is wrong and keeps apart what
/// an operator has relaxed. It stops once counting stops: a body of a megabyte can hold half a million
/// violations.
pub(super) struct SchemaExplainer {
    /// How strictly the part is judged that the walk is in.
    strictness: Strictness,
    /// How strictly what stands under `config` is judged.
    config_strictness: Strictness,
    refused: Violations,
    warnings: Warnings,
    has_found_any: bool,
}

/// Something that is wrong at a path.
struct Finding<'a> {
    path: &'a InstancePath<'a>,
    keyword: &'static str,
    rule: Rule,
}

impl SchemaExplainer {
    /// Explains a body that the validator has refused.
    pub(super) fn explain(
        body: &Value,
        shape: &Shape,
        strictness: BodyStrictness,
    ) -> Result<Warnings, Violations> {
        let mut walk = Self {
            strictness: strictness.rest,
            config_strictness: strictness.config,
            refused: Violations {
                told: Vec::new(),
                total: 0,
            },
            warnings: Warnings::default(),
            has_found_any: false,
        };
        let _ = walk.value(shape, body, &InstancePath::ROOT, &[]);
        if !walk.has_found_any {
            // The validator is the judge: what it refuses is refused, explained or not.
            return Err(Violations::unexplained());
        }
        if walk.refused.total > 0 {
            return Err(walk.refused);
        }
        Ok(walk.warnings)
    }

    /// `siblings` are the cases of which `shape` is one.
    fn value(
        &mut self,
        shape: &Shape,
        value: &Value,
        path: &InstancePath<'_>,
        siblings: &[Case],
    ) -> ControlFlow<()> {
        let path = &path.with_privacy(shape.is_private);
        if let Some(kinds) = &shape.kinds
            && !kinds.iter().any(|kind| kind.admits(value))
        {
            return self.refuse(path, "type", || {
                let message = wording::wrong_type(path, kinds, shape, value);
                (message, hint::for_type(path, kinds, value))
            });
        }
        if let Some(options) = &shape.options
            && !options.contains(value)
        {
            return self.refuse(path, "enum", || {
                (
                    wording::no_option(path, options, value),
                    hint::for_option(options, value),
                )
            });
        }
        match value {
            Value::String(text) => self.string(shape, value, text, path),
            Value::Array(elements) => self.list(shape, elements, path),
            Value::Object(members) => {
                self.object(shape, members, path, siblings)?;
                let mut cases = shape.cases.iter().filter(|case| case.applies_to(members));
                cases.try_for_each(|case| self.value(&case.then, value, path, &shape.cases))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn string(
        &mut self,
        shape: &Shape,
        value: &Value,
        text: &str,
        path: &InstancePath<'_>,
    ) -> ControlFlow<()> {
        let rule = match shape.rule {
            Some(RuleName::HostFormat) => self.strictness.host_format,
            None => Rule::Reject,
        };
        let found = |keyword| Finding { path, keyword, rule };
        if let Some(pattern) = &shape.pattern
            && !pattern.is_valid(value)
        {
            return self.add(found("pattern"), || {
                (wording::no_match(path, shape, text), hint::for_host(text, shape))
            });
        }
        let fewest = shape.min_length.unwrap_or(0);
        let most = shape.max_length.unwrap_or(usize::MAX);
        // A text has no more code points than bytes, and at least a quarter of them.
        if text.len() <= most && text.len() / 4 >= fewest {
            return ControlFlow::Continue(());
        }
        let length = text.chars().count();
        if length < fewest {
            return self.add(found("minLength"), || {
                (wording::too_short(path, fewest, length), None)
            });
        }
        if length > most {
            return self.add(found("maxLength"), || {
                (wording::too_long(path, most, length), None)
            });
        }
        ControlFlow::Continue(())
    }

    fn list(&mut self, shape: &Shape, elements: &[Value], path: &InstancePath<'_>) -> ControlFlow<()> {
        let Some(items) = &shape.items else {
            return ControlFlow::Continue(());
        };
        for (index, element) in elements.iter().enumerate() {
            self.value(items, element, &path.element(index), &[])?;
        }
        ControlFlow::Continue(())
    }

    fn object(
        &mut self,
        shape: &Shape,
        members: &Map<String, Value>,
        path: &InstancePath<'_>,
        siblings: &[Case],
    ) -> ControlFlow<()> {
        for (name, value) in members {
            let outside = self.strictness;
            if path.is_root() && name == "config" {
                self.strictness = self.config_strictness;
            }
            match (shape.member(name), &shape.others) {
                (Some(known), _) => self.value(known, value, &path.member(name), &[])?,
                (None, Others::Each(known)) => self.value(known, value, &path.other_member(name), &[])?,
                (None, Others::Open) => {}
                (None, Others::Closed) => {
                    let here = path.other_member(name);
                    let found = Finding {
                        path: &here,
                        keyword: "additionalProperties",
                        rule: self.strictness.unknown_field,
                    };
                    self.add(found, || {
                        (
                            wording::unexpected(&here),
                            hint::for_unexpected(name, shape, siblings),
                        )
                    })?;
                }
            }
            self.strictness = outside;
        }
        for name in &shape.required {
            if !members.contains_key(name) {
                let missing = path.member(name);
                let found = Finding {
                    path,
                    keyword: "required",
                    rule: Rule::Reject,
                };
                self.add_at(found, &missing, || {
                    (
                        wording::missing(&missing),
                        hint::for_missing(name, shape, members),
                    )
                })?;
            }
        }
        ControlFlow::Continue(())
    }

    fn refuse(
        &mut self,
        path: &InstancePath<'_>,
        keyword: &'static str,
        words: impl FnOnce() -> (String, Option<String>),
    ) -> ControlFlow<()> {
        let rule = Rule::Reject;
        self.add(Finding { path, keyword, rule }, words)
    }

    fn add(
        &mut self,
        found: Finding<'_>,
        words: impl FnOnce() -> (String, Option<String>),
    ) -> ControlFlow<()> {
        let place = found.path;
        self.add_at(found, place, words)
    }

    /// Where the schema knows better than the path what is wrong: a member that is missing is no part of the body.
    fn add_at(
        &mut self,
        found: Finding<'_>,
        place: &InstancePath<'_>,
        words: impl FnOnce() -> (String, Option<String>),
    ) -> ControlFlow<()> {
        self.has_found_any = true;
        match found.rule {
            Rule::Allow => return ControlFlow::Continue(()),
            Rule::Warn => {
                self.warnings.add(found.keyword, || found.path.pointer());
                return ControlFlow::Continue(());
            }
            Rule::Reject => {}
        }
        self.refused.total += 1;
        if self.refused.told.len() < Violations::TOLD {
            let (message, hint) = words();
            self.refused.told.push(Violation {
                pointer: found.path.pointer(),
                schema_pointer: place.schema_pointer(),
                keyword: found.keyword,
                message,
                hint,
            });
        }
        if self.refused.total > Violations::COUNTED {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
