use crate::contract::Operation;
use crate::environment::EnvironmentId;
use crate::text::nearest_name;

/// What a key may not do of what its tenant may: operations, environments, or both.
///
/// ```
/// use envgate::contract::Operation;
/// use envgate::environment::EnvironmentId;
/// use envgate::tenancy::Restrictions;
///
/// let id = EnvironmentId::parse("env_1").unwrap();
/// let restrictions = Restrictions::new(&[], vec![id.clone()]).unwrap();
/// assert!(restrictions.allows_operation(Operation::Update));
/// assert!(restrictions.allows_environment(&id));
/// assert!(!restrictions.allows_environment(&EnvironmentId::parse("env_2").unwrap()));
/// assert!(!restrictions.allows_operation(Operation::Create), "what it made would not be its own");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restrictions {
    operations: Option<Box<[Operation]>>,
    environments: Option<Box<[EnvironmentId]>>,
}

impl Restrictions {
    /// Restricts to operations, to environments, or to both; an empty list restricts nothing. None where
    /// neither does.
    #[must_use]
    pub fn new(operations: &[Operation], environments: Vec<EnvironmentId>) -> Option<Self> {
        if operations.is_empty() && environments.is_empty() {
            return None;
        }
        // In the order of the contract and each once, however they were named.
        let operations: Vec<_> = Operation::ALL
            .into_iter()
            .filter(|operation| operations.contains(operation))
            .collect();
        let mut environments = environments;
        environments.sort_unstable();
        environments.dedup();
        Some(Self {
            operations: (!operations.is_empty()).then(|| operations.into()),
            environments: (!environments.is_empty()).then(|| environments.into()),
        })
    }

    /// Whether the operation is among those of the key. A key of named environments never creates one.
    #[must_use]
    pub fn allows_operation(&self, operation: Operation) -> bool {
        if operation == Operation::Create && self.environments.is_some() {
            return false;
        }
        self.operations
            .as_ref()
            .is_none_or(|allowed| allowed.contains(&operation))
    }

    /// Whether the environment is among those of the key.
    #[must_use]
    pub fn allows_environment(&self, id: &EnvironmentId) -> bool {
        self.environments
            .as_ref()
            .is_none_or(|allowed| allowed.binary_search(id).is_ok())
    }

    /// The operations that the key was restricted to, in the order of the contract; none where to all.
    #[must_use]
    pub fn operations(&self) -> Option<&[Operation]> {
        self.operations.as_deref()
    }

    /// The environments that the key was restricted to, in order; none where to all.
    #[must_use]
    pub fn environments(&self) -> Option<&[EnvironmentId]> {
        self.environments.as_deref()
    }
}

/// The operation that a person names to restrict a key to it.
///
/// # Errors
/// What was expected, in words.
///
/// ```
/// let refusal = envgate::tenancy::operation("updat").unwrap_err();
/// assert!(refusal.ends_with("did you mean update?"), "{refusal}");
/// ```
pub fn operation(name: &str) -> Result<Operation, String> {
    Operation::by_name(name).ok_or_else(|| {
        let names = Operation::ALL.map(Operation::name);
        let hint = nearest_name(name, names).map_or(String::new(), |name| format!("; did you mean {name}?"));
        format!("expected one of {}{hint}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> EnvironmentId {
        EnvironmentId::parse(text).unwrap()
    }

    #[test]
    fn nothing_named_is_no_restriction() {
        assert_eq!(Restrictions::new(&[], vec![]), None);
    }

    #[test]
    fn operations_alone_leave_all_environments() {
        let restrictions =
            Restrictions::new(&[Operation::List, Operation::Create, Operation::List], vec![]).unwrap();
        assert!(restrictions.allows_operation(Operation::Create));
        assert!(!restrictions.allows_operation(Operation::Delete));
        assert!(restrictions.allows_environment(&id("env_any")));
        assert_eq!(
            restrictions.operations(),
            Some(&[Operation::Create, Operation::List][..])
        );
        assert_eq!(restrictions.environments(), None);
    }

    #[test]
    fn a_key_of_named_environments_never_creates_one_even_where_create_was_named() {
        let restrictions =
            Restrictions::new(&[Operation::Create], vec![id("env_b"), id("env_a"), id("env_b")]).unwrap();
        assert!(!restrictions.allows_operation(Operation::Create));
        assert_eq!(restrictions.environments(), Some(&[id("env_a"), id("env_b")][..]));
        assert!(restrictions.allows_environment(&id("env_a")));
        assert!(!restrictions.allows_environment(&id("env_c")));
    }
}
