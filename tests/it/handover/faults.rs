use std::net::TcpListener;
use std::os::unix::net::UnixListener;

use rstest::rstest;
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::*;

/// The newest version of the store, as the running process tells it.
fn store(offer: &Value) -> &Value {
    &offer["offer"]["store"]
}

/// Comes as the next process does, up to the listeners.
pub(super) fn prepare(peer: &mut Peer) -> Vec<std::os::fd::OwnedFd> {
    peer.say(&json!({"hello": {"protocol": 1, "version": "test", "store": 0}}));
    let offer = peer.hear().unwrap();
    assert!(store(&offer).is_i64(), "{offer}");
    peer.say(&json!({"take": ["listen", "admin"]}));
    peer.take()
}

#[rstest]
#[case::before_a_word(0)]
#[case::after_its_first(1)]
#[case::with_the_listeners(2)]
#[case::ready(3)]
fn a_new_process_that_dies_changes_nothing(#[case] step: usize) {
    let house = House::new();
    let mut old = house.start();
    let mut peer = house.come();
    let mut listeners = Vec::new();
    if step == 1 {
        peer.say(&json!({"hello": {"protocol": 1, "version": "test", "store": 0}}));
        peer.hear().unwrap();
    }
    if step >= 2 {
        listeners = prepare(&mut peer);
        assert_eq!(listeners.len(), 2);
    }
    if step >= 3 {
        peer.say(&json!("ready"));
        assert!(peer.hear().unwrap()["budgets"].is_array());
    }
    assert_eq!(house.ask(old.gateway), 200, "it goes on meanwhile");
    drop((peer, listeners));
    old.expect_log("a process did not take over; this one goes on");
    assert_eq!(house.ask(old.gateway), 200);
    let new = house.start();
    assert_eq!(old.wait(), Some(0), "and the next one takes over");
    assert_eq!(house.ask(new.gateway), 200);
}

#[test]
fn a_new_process_that_hangs_is_waited_for_while_requests_are_answered_and_others_are_told() {
    let house = House::new();
    let old = house.start();
    let mut hanging = house.come();
    let _listeners = prepare(&mut hanging);
    assert_eq!(house.ask(old.gateway), 200);
    let log = house.fail();
    assert!(log.contains("another process is just taking over"), "{log}");
    assert_eq!(house.ask(old.gateway), 200);
}

#[test]
fn two_new_processes_at_once_leave_one_that_serves() {
    let house = House::new();
    let mut old = house.start();
    let gateway = old.gateway;
    let new = [(); 2].map(|()| {
        let (mut command, log) = house.command();
        (command.spawn().unwrap(), log)
    });
    let mut new = new.map(|(child, log)| Process {
        child,
        gateway,
        admin: old.admin,
        log,
    });
    assert_eq!(old.wait(), Some(0));
    for _ in 0..20 {
        assert_eq!(house.ask(gateway), 200);
    }
    let serving = new
        .iter_mut()
        .filter_map(|process| process.child.try_wait().unwrap().is_none().then_some(()));
    assert!(serving.count() >= 1);
}

#[test]
fn another_protocol_is_refused() {
    let house = House::new();
    let old = house.start();
    let mut peer = house.come();
    peer.say(&json!({"hello": {"protocol": 2, "version": "test", "store": 0}}));
    let refused = peer.hear().unwrap();
    assert!(
        refused["refused"].as_str().unwrap().contains("protocol 1"),
        "{refused}"
    );
    assert_eq!(house.ask(old.gateway), 200);
}

/// The running process, played by the test: it gets as far as to this step, and then does what the test wants.
struct OldProcess {
    socket: UnixListener,
    listeners: [TcpListener; 2],
}

impl OldProcess {
    fn at(house: &House) -> Self {
        Self {
            socket: UnixListener::bind(house.socket()).unwrap(),
            listeners: [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()),
        }
    }

    /// Deals with the next process up to a step: 0 for its coming, 1 for its first word, 2 for the offer, 3 for the
    /// listeners, 4 for its being ready.
    fn meet(&self, step: usize, store: impl Fn(&Value) -> Value) -> Peer {
        let mut peer = Peer::new(self.socket.accept().unwrap().0);
        if step >= 1 {
            let hello = peer.hear().unwrap();
            if step >= 2 {
                let [listen, admin] = self
                    .listeners
                    .each_ref()
                    .map(|listener| listener.local_addr().unwrap());
                peer.say(&json!({"offer": {
                    "protocol": 1, "version": "test", "store": store(&hello["hello"]["store"]),
                    "listeners": [["listen", listen], ["admin", admin]],
                }}));
            }
            if step >= 3 {
                assert_eq!(peer.hear().unwrap(), json!({"take": ["listen", "admin"]}));
                peer.give(&self.listeners);
            }
            if step >= 4 {
                assert_eq!(peer.hear().unwrap(), json!("ready"));
            }
        }
        peer
    }
}

#[rstest]
fn a_running_process_that_dies_is_followed_by_one_that_serves(#[values(0, 1, 2, 3, 4)] step: usize) {
    let house = House::new();
    let old = OldProcess::at(&house);
    let [listen, _] = old
        .listeners
        .each_ref()
        .map(|listener| listener.local_addr().unwrap());
    let (command, log) = house.command();
    let dying = std::thread::spawn(move || {
        let peer = old.meet(step, Value::clone);
        drop(old);
        drop(peer);
    });
    let new = Process::start(command, log);
    dying.join().unwrap();
    new.wait_until_serving();
    assert_eq!(house.ask(new.gateway), 200);
    assert_eq!(new.gateway == listen, step >= 3, "what it was given it keeps");
}

#[rstest]
fn a_running_process_that_hangs_is_given_up_within_a_deadline(#[values(0, 1, 2, 4)] step: usize) {
    let house = House::new();
    let old = OldProcess::at(&house);
    let meeting = std::thread::spawn(move || (old.meet(step, Value::clone), old));
    let log = house.fail();
    assert!(log.contains("does not answer within 5 seconds"), "{log}");
    assert!(log.contains(&format!("process {}", std::process::id())), "{log}");
    drop(meeting.join().unwrap());
}

#[test]
fn a_process_that_keeps_another_version_of_the_store_is_not_followed() {
    let house = House::new();
    let old = OldProcess::at(&house);
    let meeting = std::thread::spawn(move || {
        let mut peer = old.meet(2, |_| json!(99_990_101_000_000_i64));
        assert_eq!(peer.hear(), None, "nothing is taken");
    });
    let log = house.fail();
    assert!(log.contains("schema version 99990101000000"), "{log}");
    meeting.join().unwrap();
}

#[tokio::main(flavor = "current_thread")]
async fn write_to_store(house: &House, sql: &'static str) {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite:{}", house.setup.path().join("envgate.db").display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    sqlx::query(sql).execute(&mut connection).await.unwrap();
}

#[test]
fn a_store_that_is_newer_than_the_new_process_is_refused_before_anything_is_taken_over() {
    let house = House::new();
    let old = house.start();
    write_to_store(
        &house,
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
         VALUES (99990101000000, 'of another version', '9999-01-01', TRUE, x'00', 0)",
    );
    let log = house.fail();
    assert!(log.contains("newer than this envgate"), "{log}");
    assert_eq!(house.ask(old.gateway), 200);
    assert!(!old.log().contains("take over"), "{}", old.log());
}

#[test]
fn after_kill_nine_the_next_process_starts_as_the_first_one() {
    let house = House::new();
    let mut old = house.start();
    let gateway = old.gateway;
    assert!(house.socket().exists());
    old.signal("KILL");
    old.wait();
    assert!(house.socket().exists(), "nobody has removed it");
    let (mut command, log) = house.command();
    command.env("ENVGATE_LISTEN__ADDRESS", gateway.to_string());
    let mut new = Process::start(command, log);
    new.wait_until_serving();
    assert_eq!(house.ask(gateway), 200);
    new.signal("TERM");
    assert_eq!(new.wait(), Some(0));
    assert!(!house.socket().exists(), "nobody comes any more");
}

#[rstest]
#[case::others_may_enter(0o755)]
#[case::a_group_may_look(0o740)]
fn a_directory_that_others_may_enter_is_refused(#[case] mode: u32) {
    let house = House::new();
    std::fs::set_permissions(house.directory(), std::fs::Permissions::from_mode(mode)).unwrap();
    let check = house.setup.run(&["check"]);
    assert_eq!(check.status.code(), Some(1));
    let log = house.fail();
    assert!(
        log.contains(&format!("its mode is {mode:03o} and has to be 700")),
        "{log}"
    );
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let house = House::new();
    if std::os::unix::fs::chown(house.directory(), Some(65534), None).is_err() {
        // Only root can give it away.
        return;
    }
    let log = house.fail();
    assert!(log.contains("it belongs to user 65534"), "{log}");
}

#[test]
fn a_process_of_another_user_is_handed_nothing() {
    let house = House::new();
    let old = house.start();
    // In a directory of mode 0700 that takes root, who may enter any and become anybody.
    let script = "import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.chdir(sys.argv[1]); os.setuid(65534)\n\
                  s.connect('handover.sock'); s.settimeout(60); sys.exit(len(s.recv(1)))";
    let directory = house.directory();
    std::fs::set_permissions(house.socket(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let arguments = ["-c", script, directory.to_str().unwrap()];
    let ended = house.setup.command_of("python3", &arguments).output().unwrap();
    if String::from_utf8_lossy(&ended.stderr).contains("PermissionError") {
        return;
    }
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    old.expect_log("is of user 65534, not of");
    assert_eq!(house.ask(old.gateway), 200);
}
