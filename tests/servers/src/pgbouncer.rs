//! A real `PgBouncer` in transaction mode before a PostgreSQL, on a Unix socket.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Child;

use tempfile::TempDir;

use crate::postgres::{Server, as_its_user, other_user};
use crate::{guarded, temporary_directory, wait_until_ready};

const MISSING: &str = "PgBouncer is missing: sudo apt-get install pgbouncer";

pub struct PgBouncer {
    child: Child,
    directory: TempDir,
}

impl PgBouncer {
    /// Starts one with few connections to the server, so that clients take turns on each.
    pub fn start(server: &Server) -> Self {
        let directory = temporary_directory();
        let path = directory.path().display();
        let settings = format!(
            "[databases]\n\
             pooled = host={} dbname=postgres user=envgate\n\
             [pgbouncer]\n\
             pool_mode = transaction\n\
             default_pool_size = 3\n\
             max_client_conn = 200\n\
             auth_type = any\n\
             listen_addr =\n\
             unix_socket_dir = {path}\n\
             ignore_startup_parameters = extra_float_digits\n",
            server.directory().display(),
        );
        let file = directory.path().join("pgbouncer.ini");
        fs::write(&file, settings).unwrap();
        if let Some((uid, gid)) = other_user() {
            chown(directory.path(), Some(uid), Some(gid)).unwrap();
            chown(&file, Some(uid), Some(gid)).unwrap();
        }
        let program = [
            "/usr/sbin/pgbouncer",
            "/usr/bin/pgbouncer",
            "/usr/local/bin/pgbouncer",
        ]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
        .expect(MISSING);
        let mut pooler = as_its_user(program);
        pooler.arg("--quiet").arg(&file);
        let mut child = guarded::spawn(&mut as_its_user("sh"), &pooler, "TERM", "").unwrap();
        let socket = directory.path().join(".s.PGSQL.6432");
        wait_until_ready(&mut child, || socket.exists()).unwrap_or_else(|log| panic!("PgBouncer: {log}"));
        Self { child, directory }
    }

    pub fn url(&self) -> String {
        let directory = self.directory.path().display();
        format!("postgres:///pooled?host={directory}&port=6432&user=envgate")
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        guarded::end(&mut self.child);
    }
}
