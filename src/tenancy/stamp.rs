use crate::config::Ownership;

/// The stamp is off although several tenants would share one upstream credential: nobody could tell their
/// environments apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ownership.stamp is off, and {tenants} tenants would share the upstream credential; set it to true")]
pub struct StampRequired {
    /// How many they are.
    pub tenants: usize,
}

impl StampRequired {
    /// Refuses settings that leave the stamp out where `tenants` use the one upstream credential. Suspended ones
    /// count too: their environments are still there.
    ///
    /// # Errors
    /// [`StampRequired`] where there is more than one and the stamp is off.
    pub const fn check(ownership: &Ownership, tenants: usize) -> Result<(), Self> {
        if ownership.is_stamping || tenants <= 1 {
            Ok(())
        } else {
            Err(Self { tenants })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::StampKey;

    #[test]
    fn the_stamp_may_be_off_for_one_tenant_at_most() {
        let ownership = |is_stamping| Ownership {
            is_stamping,
            stamp_key: StampKey::default(),
        };
        for tenants in [0, 1] {
            assert_eq!(StampRequired::check(&ownership(false), tenants), Ok(()));
        }
        assert_eq!(
            StampRequired::check(&ownership(false), 2),
            Err(StampRequired { tenants: 2 })
        );
        assert_eq!(StampRequired::check(&ownership(true), 2), Ok(()));
    }
}
