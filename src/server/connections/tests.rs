use futures_util::poll;
use tokio::pin;

use super::*;

fn connections(max: usize, max_per_client: usize) -> Arc<Connections> {
    let trusted = ["127.0.0.0/8".parse().unwrap()].into_iter().collect();
    Connections::new(ConnectionLimits::new(max, Some(max_per_client), trusted), None)
}

fn is_closing(connection: &OpenConnection) -> bool {
    connection.is_closing()
}

/// One from this machine.
async fn admit(connections: &Arc<Connections>) -> OpenConnection {
    admit_from(connections, "127.0.0.1").await
}

async fn admit_from(connections: &Arc<Connections>, address: &str) -> OpenConnection {
    connections.admit(address.parse().unwrap()).await.unwrap()
}

#[tokio::test]
async fn those_that_are_open_and_those_that_come_later_are_asked_to_close() {
    let connections = Connections::new(ConnectionLimits::none(), None);
    let early = admit(&connections).await;
    assert!(!is_closing(&early));
    connections.close_all(Duration::ZERO);
    let late = admit(&connections).await;
    assert!(is_closing(&early) && is_closing(&late));
    let all_closed = connections.all_closed();
    pin!(all_closed);
    assert!(poll!(&mut all_closed).is_pending());
    drop((early, late));
    all_closed.await;
}

#[tokio::test]
async fn the_oldest_without_a_head_makes_room_and_then_the_longest_idle() {
    let connections = connections(4, 4);
    let served = admit(&connections).await;
    served.begin_service();
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(admit(&connections).await);
    }
    let [long_idle, idle, silent] = <[OpenConnection; 3]>::try_from(others).unwrap();
    long_idle.begin_idling();
    idle.entry.set(Activity::IsIdle(connections.now() + 1));
    let admission = admit(&connections);
    pin!(admission);
    assert!(poll!(&mut admission).is_pending());
    assert!(is_closing(&silent));
    assert!(!is_closing(&served) && !is_closing(&long_idle) && !is_closing(&idle));
    drop(silent);
    let next = admission.await;
    next.begin_service();
    let admission = admit(&connections);
    pin!(admission);
    assert!(poll!(&mut admission).is_pending());
    assert!(is_closing(&long_idle) && !is_closing(&idle));
    drop(long_idle);
    drop(admission.await);
}

#[tokio::test(start_paused = true)]
async fn one_more_waits_while_all_are_served() {
    let connections = connections(1, 1);
    let served = admit(&connections).await;
    served.begin_service();
    let admission = admit(&connections);
    pin!(admission);
    assert!(timeout(Duration::from_secs(60), &mut admission).await.is_err());
    assert!(!is_closing(&served));
    served.begin_idling();
    assert!(timeout(CLOSE_PATIENCE * 2, &mut admission).await.is_err());
    assert!(is_closing(&served), "it is idle by now");
    drop(served);
    admission.await;
}

#[tokio::test]
async fn a_client_that_has_its_part_makes_room_with_one_of_its_own() {
    let connections = connections(8, 2);
    let of_another = admit_from(&connections, "192.0.2.1").await;
    let idle = admit_from(&connections, "192.0.2.2").await;
    idle.begin_idling();
    let silent = admit_from(&connections, "192.0.2.2").await;
    // Without a wait: who has been asked to close does not count any more.
    let third = admit_from(&connections, "192.0.2.2").await;
    assert!(is_closing(&silent) && !is_closing(&idle) && !is_closing(&of_another));
    third.begin_service();
    let fourth = admit_from(&connections, "192.0.2.2").await;
    assert!(is_closing(&idle) && !is_closing(&third) && !is_closing(&of_another));
    fourth.begin_service();
    let fifth = connections.admit("192.0.2.2".parse().unwrap()).await;
    assert_eq!(fifth.unwrap_err(), ClientFull, "all that it has are served");
    admit_from(&connections, "192.0.2.1").await;

    drop(third);
    admit_from(&connections, "192.0.2.2").await;
    drop((idle, silent, fourth, of_another));
    assert!(connections.open.lock().clients.is_empty());
}

#[tokio::test]
async fn a_client_of_ipv6_is_its_64_bits_and_one_of_this_machine_has_no_part() {
    let connections = connections(8, 1);
    let first = admit_from(&connections, "2001:db8::1").await;
    first.begin_service();
    let refused = connections.admit("2001:db8::2".parse().unwrap()).await;
    assert_eq!(refused.unwrap_err(), ClientFull);
    admit_from(&connections, "2001:db8:0:1::1").await.begin_service();
    let mut local = Vec::new();
    for _ in 0..3 {
        let connection = admit_from(&connections, "::ffff:127.0.0.1").await;
        connection.begin_service();
        local.push(connection);
    }
    assert_eq!(local.len(), 3);
}

#[tokio::test]
async fn a_connection_counts_for_the_client_that_it_is_said_to_be_of() {
    let connections = connections(8, 1);
    let client = "192.0.2.1".parse().unwrap();
    let mut first = admit(&connections).await;
    first.identify(client).unwrap();
    let mut second = admit(&connections).await;
    second.identify(client).unwrap();
    assert!(is_closing(&first), "it has sent no head");
    second.begin_service();
    let mut third = admit(&connections).await;
    assert_eq!(third.identify(client), Err(ClientFull));
    drop((first, second));
    third.identify(client).unwrap();
    drop(third);
    assert!(connections.open.lock().clients.is_empty());
}

#[tokio::test]
async fn whoever_gives_way_to_another_of_its_client_makes_room_among_all() {
    let connections = connections(2, 1);
    let of_another = admit_from(&connections, "192.0.2.1").await;
    let own = admit_from(&connections, "192.0.2.2").await;
    let admission = admit_from(&connections, "192.0.2.2");
    pin!(admission);
    assert!(poll!(&mut admission).is_pending());
    assert!(is_closing(&own) && !is_closing(&of_another));
    drop(own);
    drop(admission.await);
}
