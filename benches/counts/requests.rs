//! What one request costs, in instructions and in allocations, counted by valgrind: accepted, refused and from memory,
//! the judging half alone and both halves. No socket, no upstream, no time: the same code gives the same counts.
//!
//! `make counts` runs it and says what has moved since `benches/counts.json`.
#![allow(missing_docs)]

mod prepared;

use std::hint::black_box;

use envgate::gateway::{DryAnswer, DryRun};
use futures_util::FutureExt;
use gungraun::{Dhat, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};

use self::prepared::{Prepared, accepted, from_memory, refused, unknown_key};

// The judging half. What it has made is dropped within the count: that is a part of the price.
#[library_benchmark]
#[bench::accepted(accepted())]
#[bench::refused(refused())]
#[bench::from_memory(from_memory())]
#[bench::unknown_key(unknown_key())]
fn judge(request: Prepared) {
    drop(black_box(judged(request)));
}

// Both halves.
#[library_benchmark]
#[bench::accepted(accepted())]
#[bench::refused(refused())]
#[bench::from_memory(from_memory())]
#[bench::unknown_key(unknown_key())]
fn whole(request: Prepared) {
    drop(black_box(answered(request)));
}

fn judged(request: Prepared) -> DryRun<'static> {
    DryRun::judge(request.gateway, request.head, request.body)
}

fn answered(request: Prepared) -> DryAnswer {
    let reply = request.reply.clone();
    judged(request).answer(reply).now_or_never().flatten().unwrap()
}

library_benchmark_group!(name = request; benchmarks = judge, whole);
main!(
    config = LibraryBenchmarkConfig::default().tool(Dhat::default());
    library_benchmark_groups = request
);
