use super::*;

#[test]
fn what_was_spent_of_a_budget_is_not_had_twice() {
    let budget = "[budgets.default]\nreads_per_minute = 10\nlearn = false\n[cache]\nttl = \"off\"\n\
                  [upstream]\ntimeout = \"1s\"\n";
    let house = House::with(|setup| setup.file(budget));
    let mut old = house.start();
    for _ in 0..6 {
        assert_eq!(house.ask(old.gateway), 200);
    }
    let new = house.start();
    assert_eq!(old.wait(), Some(0));
    new.expect_log("the process before this one has ended");
    let statuses: Vec<_> = (0..6).map(|_| house.ask(new.gateway)).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 429, 429]);
}

#[test]
fn a_process_that_is_not_followed_after_all_has_its_whole_budget() {
    let budget = "[budgets.default]\nreads_per_minute = 10\nlearn = false\n[cache]\nttl = \"off\"\n\
                  [upstream]\ntimeout = \"1s\"\n";
    let house = House::with(|setup| setup.file(budget));
    let old = house.start();
    for _ in 0..3 {
        assert_eq!(house.ask(old.gateway), 200);
    }
    let mut peer = house.come();
    faults::prepare(&mut peer);
    peer.say(&serde_json::json!("ready"));
    let budgets = peer.hear().unwrap();
    let sent = &budgets["budgets"][0]["rates"][3];
    assert_eq!(
        (&sent["rate"], sent["sent"].as_array().unwrap().len()),
        (&"reads".into(), 3),
        "{budgets}"
    );
    drop(peer);
    old.expect_log("this one goes on");
    let statuses: Vec<_> = (0..8).map(|_| house.ask(old.gateway)).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 429]);
}

#[test]
fn what_a_tenant_has_spent_of_its_own_limit_counts_on() {
    let plan =
        "[plans.default]\nrequests_per_minute = 5\n[cache]\nttl = \"off\"\n[upstream]\ntimeout = \"1s\"\n";
    let house = House::with(|setup| setup.file(plan));
    let mut old = house.start();
    for _ in 0..3 {
        assert_eq!(house.ask(old.gateway), 200);
    }
    let new = house.start();
    assert_eq!(old.wait(), Some(0));
    let statuses: Vec<_> = (0..3).map(|_| house.ask(new.gateway)).collect();
    assert_eq!(statuses, [200, 200, 429]);
}
