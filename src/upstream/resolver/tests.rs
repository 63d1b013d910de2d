use std::collections::VecDeque;

use super::*;

/// What DNS says, one answer after the other; the last one for ever.
fn resolver(answers: impl IntoIterator<Item = Result<Vec<SocketAddr>, &'static str>>) -> Resolver {
    let answers = Arc::new(Mutex::new(VecDeque::from_iter(answers)));
    let lookup: Lookup = Box::new(move || {
        let mut answers = answers.lock();
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.pop_front().unwrap(),
        };
        async move { answer.map_err(io::Error::other) }.boxed()
    });
    let failures = IntCounter::new("failures", "of DNS").unwrap();
    Resolver::with("upstream", Some(lookup), None, failures)
}

fn at(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 443))
}

#[tokio::test]
async fn an_address_is_known_without_a_lookup() {
    let failures = IntCounter::new("failures", "of DNS").unwrap();
    let resolver = Resolver::new("upstream", "::1", 8080, failures);
    assert_eq!(
        resolver.addresses().await.unwrap(),
        ["[::1]:8080".parse().unwrap()]
    );
    resolver.follow().await;
}

#[tokio::test]
async fn a_name_of_this_machine_is_found_by_the_systems_resolver() {
    let failures = IntCounter::new("failures", "of DNS").unwrap();
    let resolver = Resolver::new("upstream", "localhost", 8080, failures);
    resolver.refresh().await;
    let addresses = resolver.addresses().await.unwrap();
    assert!(
        addresses
            .iter()
            .all(|address| address.ip().is_loopback() && address.port() == 8080)
    );
    assert!(!addresses.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_change_is_picked_up_within_half_a_minute() {
    let resolver = resolver([Ok(vec![at(1)]), Ok(vec![at(2), at(3)])]);
    let looking = async {
        assert_eq!(
            resolver.addresses().await.unwrap(),
            [at(1)],
            "the first lookup is waited for"
        );
        assert!(resolver.is_current(at(1)));
        sleep(Duration::from_secs(31)).await;
        assert_eq!(resolver.addresses().await.unwrap(), [at(2), at(3)]);
        assert!(
            !resolver.is_current(at(1)),
            "connections to it are not used again"
        );
    };
    tokio::select! {
        () = resolver.follow() => panic!("a name is followed for ever"),
        () = looking => {}
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_good_addresses_stay_while_dns_fails() {
    let resolver = resolver([Ok(vec![at(1)]), Err("no answer"), Ok(vec![]), Ok(vec![at(2)])]);
    for (expected, failures) in [(at(1), 0), (at(1), 1), (at(1), 2), (at(2), 2)] {
        resolver.refresh().await;
        assert_eq!(resolver.addresses().await.unwrap(), [expected]);
        assert_eq!(resolver.failures.get(), failures);
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_first_answer_a_failure_is_told_at_once_and_the_next_lookup_comes_soon() {
    let resolver = resolver([Err("no answer"), Err("no answer"), Ok(vec![at(1)])]);
    let looking = async {
        resolver.addresses().await.unwrap_err();
        resolver.addresses().await.unwrap_err();
        sleep(Duration::from_secs(3)).await;
        assert_eq!(resolver.addresses().await.unwrap(), [at(1)]);
    };
    tokio::select! {
        () = resolver.follow() => panic!("a name is followed for ever"),
        () = looking => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_lookup_that_hangs_has_failed_after_ten_seconds() {
    let failures = IntCounter::new("failures", "of DNS").unwrap();
    let lookup: Lookup = Box::new(|| std::future::pending().boxed());
    let resolver = Resolver::with("upstream", Some(lookup), None, failures);
    resolver.refresh().await;
    assert_eq!(resolver.failures.get(), 1);
    resolver.addresses().await.unwrap_err();
}

#[tokio::test]
async fn the_address_that_last_worked_comes_first_and_the_others_keep_their_order() {
    let resolver = resolver([
        Ok(vec![at(1), at(2), at(3)]),
        Ok(vec![at(4), at(2)]),
        Ok(vec![at(4), at(5)]),
    ]);
    resolver.refresh().await;
    resolver.remember_working(at(3));
    assert_eq!(resolver.addresses().await.unwrap(), [at(3), at(1), at(2)]);
    resolver.remember_working(at(2));
    resolver.refresh().await;
    assert_eq!(resolver.addresses().await.unwrap(), [at(2), at(4)]);
    resolver.refresh().await;
    assert_eq!(
        resolver.addresses().await.unwrap(),
        [at(4), at(5)],
        "it is no address of the upstream any more"
    );
}

#[tokio::test]
async fn both_families_are_tried_in_turn_that_of_the_address_that_last_worked_first() {
    let [four, five, six] = [1, 2, 3].map(at);
    let [eight, nine] = ["[2001:db8::8]:443", "[2001:db8::9]:443"].map(|address| address.parse().unwrap());
    let resolver = resolver([Ok(vec![eight, nine, four, five, six])]);
    resolver.refresh().await;
    assert_eq!(
        resolver.addresses().await.unwrap(),
        [eight, four, nine, five, six]
    );
    resolver.remember_working(five);
    assert_eq!(
        resolver.addresses().await.unwrap(),
        [five, eight, four, nine, six]
    );
}

#[tokio::test]
async fn a_lookup_for_which_this_machine_has_no_descriptor_says_so() {
    let lookup: Lookup =
        Box::new(|| std::future::ready(Err(io::Error::from_raw_os_error(libc::EMFILE))).boxed());
    let resolver = Resolver::with(
        "upstream",
        Some(lookup),
        None,
        IntCounter::new("failures", "of DNS").unwrap(),
    );
    resolver.refresh().await;
    assert!(is_local_fault(&resolver.addresses().await.unwrap_err()));
}
