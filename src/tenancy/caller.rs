use std::sync::Arc;

use super::{KeyId, Restrictions, Tenant, TenantTraffic};
use crate::contract::{ApiError, Operation, Target};
use crate::environment::EnvironmentId;

/// Whoever a key turned out to be.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant as it was when the key was looked up.
    pub tenant: Arc<Tenant>,
    /// The visible prefix of the key.
    pub key: KeyId,
    /// What the key may not do of what its tenant may.
    pub restrictions: Option<Arc<Restrictions>>,
    /// Where its tenant's requests are counted.
    pub traffic: Arc<TenantTraffic>,
}

impl Caller {
    /// The operator, who acts for a tenant.
    #[must_use]
    pub fn operator(tenant: Arc<Tenant>) -> Self {
        Self {
            tenant,
            key: KeyId::OPERATOR,
            restrictions: None,
            traffic: Arc::default(),
        }
    }

    /// Whether the key may do what is asked, as far as the key itself says.
    ///
    /// # Errors
    /// [`ApiError::Forbidden`] names an operation that is not the key's. An environment that is not is
    /// [`ApiError::EnvironmentNotFound`], as if it did not exist.
    pub fn may(&self, target: &Target) -> Result<(), ApiError> {
        let Some(restrictions) = &self.restrictions else {
            return Ok(());
        };
        if !restrictions.allows_operation(target.operation) {
            return Err(ApiError::Forbidden(refusal(restrictions, target.operation)));
        }
        match &target.environment {
            Some(id) if !restrictions.allows_environment(id) => Err(ApiError::EnvironmentNotFound),
            _ => Ok(()),
        }
    }

    /// Whether the operation is among those of the key.
    #[must_use]
    pub fn allows_operation(&self, operation: Operation) -> bool {
        let restrictions = self.restrictions.as_ref();
        restrictions.is_none_or(|restrictions| restrictions.allows_operation(operation))
    }

    /// Whether the environment is among those of the key.
    #[must_use]
    pub fn allows_environment(&self, id: &EnvironmentId) -> bool {
        let restrictions = self.restrictions.as_ref();
        restrictions.is_none_or(|restrictions| restrictions.allows_environment(id))
    }

    /// The environments that the key was restricted to, in order; none where to all of its tenant's.
    #[must_use]
    pub fn environments(&self) -> Option<&[EnvironmentId]> {
        self.restrictions.as_ref()?.environments()
    }
}

fn refusal(restrictions: &Restrictions, operation: Operation) -> String {
    let name = operation.name();
    let is_named = |operations: &[Operation]| operations.contains(&operation);
    if restrictions.operations().is_none_or(is_named) {
        format!("this API key is for environments that exist; {name} is not allowed to it")
    } else {
        format!("the operation {name} is not allowed to this API key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::{KeyText, TenantId};

    fn caller(operations: &[Operation], environments: &[&str]) -> Caller {
        let environments = environments
            .iter()
            .map(|id| EnvironmentId::parse(id).unwrap())
            .collect();
        let tenant = Tenant {
            id: TenantId::generate().unwrap(),
            name: "acme".to_owned(),
            plan: Tenant::DEFAULT_PLAN.to_owned(),
            created_at: "2026-01-01T00:00:00Z".to_owned(),
            is_suspended: false,
        };
        Caller {
            tenant: Arc::new(tenant),
            key: KeyText::generate().unwrap().id(),
            restrictions: Restrictions::new(operations, environments).map(Arc::new),
            traffic: Arc::default(),
        }
    }

    fn target(operation: Operation, environment: Option<&str>) -> Target {
        Target {
            operation,
            environment: environment.map(|id| EnvironmentId::parse(id).unwrap()),
        }
    }

    fn forbidden(caller: &Caller, operation: Operation) -> String {
        match caller.may(&target(operation, None)) {
            Err(ApiError::Forbidden(message)) => message,
            other => panic!("expected Forbidden, got {other:?}"),
        }
    }

    #[test]
    fn an_operation_that_is_not_the_keys_is_refused_by_its_name() {
        let caller = caller(&[Operation::Retrieve], &[]);
        let message = forbidden(&caller, Operation::Delete);
        assert_eq!(message, "the operation delete is not allowed to this API key");
        assert!(caller.may(&target(Operation::Retrieve, Some("env_1"))).is_ok());
    }

    #[test]
    fn an_environment_that_is_not_the_keys_does_not_exist_for_it() {
        let caller = caller(&[], &["env_1"]);
        assert!(caller.may(&target(Operation::Update, Some("env_1"))).is_ok());
        assert!(caller.may(&target(Operation::List, None)).is_ok());
        assert!(matches!(
            caller.may(&target(Operation::Update, Some("env_2"))),
            Err(ApiError::EnvironmentNotFound)
        ));
        assert_eq!(
            forbidden(&caller, Operation::Create),
            "this API key is for environments that exist; create is not allowed to it"
        );
    }

    #[test]
    fn a_key_without_restrictions_may_all_that_its_tenant_may() {
        let caller = caller(&[], &[]);
        for operation in Operation::ALL {
            assert!(caller.allows_operation(operation));
        }
        assert!(caller.may(&target(Operation::Create, None)).is_ok());
        assert_eq!(caller.environments(), None);
    }
}
