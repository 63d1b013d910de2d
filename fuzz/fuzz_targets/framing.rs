#![no_main]

use envgate_fuzz_targets::check;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| check("framing", bytes));
