use std::collections::HashMap;

use crate::tenancy::TenantId;

/// How many records wait for the store. One tenant never takes more than its part of the room.
#[derive(Debug)]
pub(super) struct Room {
    max_in_all: usize,
    max_of_one_tenant: usize,
    in_all: usize,
    by_tenant: HashMap<String, usize>,
}

impl Room {
    pub(super) fn new(max_in_all: usize, max_of_one_tenant: usize) -> Self {
        Self {
            max_in_all,
            max_of_one_tenant,
            in_all: 0,
            by_tenant: HashMap::new(),
        }
    }

    /// Takes the place of a record; false where there is none.
    pub(super) fn enter(&mut self, TenantId(tenant): &TenantId) -> bool {
        if self.in_all >= self.max_in_all {
            return false;
        }
        match self.by_tenant.get_mut(tenant) {
            Some(count) if *count >= self.max_of_one_tenant => return false,
            Some(count) => *count += 1,
            None => {
                self.by_tenant.insert(tenant.clone(), 1);
            }
        }
        self.in_all += 1;
        true
    }

    /// Gives the place of a record back.
    pub(super) fn leave(&mut self, tenant: &str) {
        self.in_all = self.in_all.saturating_sub(1);
        if let Some(count) = self.by_tenant.get_mut(tenant) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_tenant.remove(tenant);
            }
        }
    }

    pub(super) fn in_all(&self) -> usize {
        self.in_all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_leaves_room_for_others_and_all_that_is_left_can_be_taken_again() {
        let mut room = Room::new(5, 3);
        let [one, two] = ["ten_1", "ten_2"].map(|id| TenantId(id.to_owned()));
        let taken = |room: &mut Room, tenant| (0..10).filter(|_| room.enter(tenant)).count();
        assert_eq!(taken(&mut room, &one), 3);
        assert_eq!(taken(&mut room, &two), 2, "five in all");
        room.leave("ten_1");
        assert_eq!(taken(&mut room, &two), 1);
        assert_eq!(taken(&mut room, &one), 0);
        for tenant in ["ten_1", "ten_1", "ten_2", "ten_2", "ten_2"] {
            room.leave(tenant);
        }
        assert_eq!(room.in_all(), 0);
        assert!(room.by_tenant.is_empty());
    }
}
