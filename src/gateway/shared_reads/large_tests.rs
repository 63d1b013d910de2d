//! Replies that take much of the room that there is.

use http::HeaderValue;

use super::tests::{KEEPING, anything, asked, read, retrieve};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_large_reply_to_who_wants_none_that_is_kept_pushes_nothing_out_and_outdates_its_own() {
    let reads = SharedReads::new(&KEEPING);
    let large = "a".repeat(LARGE_BYTES);
    let (_, source) = read(&reads, retrieve(), anything(), &large).await;
    assert_eq!(source, ReadSource::Miss);
    let (_, source) = read(&reads, retrieve(), anything(), "b").await;
    assert!(
        matches!(source, ReadSource::Hit(_)),
        "a large one is kept: {source:?}"
    );
    let (body, _) = read(&reads, retrieve(), asked("no-cache"), &large.replace('a', "c")).await;
    assert!(body.starts_with('c'));
    let (body, source) = read(&reads, retrieve(), anything(), "d").await;
    assert_eq!(
        (body.as_str(), source),
        ("d", ReadSource::Miss),
        "neither the new one nor the older one"
    );
    read(&reads, retrieve(), asked("no-cache"), "e").await;
    let (body, _) = read(&reads, retrieve(), anything(), "f").await;
    assert_eq!(body, "e", "a small one is for others too");
}

#[tokio::test(start_paused = true)]
async fn the_weight_of_what_is_kept_is_all_that_it_holds_its_key_included() {
    let reads = SharedReads::new(&KEEPING);
    for number in 0..200 {
        let betas = format!("{number:030000}");
        let key = ReadKey {
            betas: HeaderValue::try_from(betas).unwrap(),
            ..retrieve()
        };
        read(&reads, key, anything(), "1").await;
    }
    let kept = reads.kept.load_full().unwrap();
    kept.run_pending_tasks();
    let bytes = kept.entry_count() * 30_000;
    assert!(
        (1..=KEEPING.max_bytes).contains(&bytes),
        "{bytes} bytes of betas alone"
    );
}
