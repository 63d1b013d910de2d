//! The command line, nothing else.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// What thousands of connections had goes back to the system once they are gone. The C library's allocator
/// keeps it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    envgate::cli::run()
}
