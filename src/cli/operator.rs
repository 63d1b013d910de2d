use std::fs;

use rustix::process::getuid;

use crate::config::Settings;
use crate::store::{Operator, Store};

/// The store, whose changes are recorded as those of whoever runs the command, if the settings want an audit.
pub(super) fn record(settings: &Settings, store: Store) -> Store {
    if !settings.audit.is_enabled {
        return store;
    }
    let operator = Operator {
        name: format!("command line ({})", user()),
        client_address: None,
    };
    store.operated_by(operator, None)
}

/// Whoever starts the gateway.
pub(super) fn serve() -> Operator {
    Operator {
        name: "envgate serve".to_owned(),
        client_address: None,
    }
}

/// The name of the user of this process, or the number of one that has no name here. Variables that say so could
/// say anything.
fn user() -> String {
    let id = getuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&id, &users).map_or(id.clone(), str::to_owned)
}

/// The name of the user with this number, in the form of `/etc/passwd`.
fn name_of<'u>(id: &str, users: &'u str) -> Option<&'u str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_a_name_or_a_number() {
        let users = "root:x:0:0:root:/root:/bin/bash\n\nbroken\nenvgate:x:998:998::/:/sbin/nologin\n";
        assert_eq!(name_of("0", users), Some("root"));
        assert_eq!(name_of("998", users), Some("envgate"));
        assert_eq!(name_of("1", users), None);
    }
}
