//! Nothing: what is here are the benches `requests` and `rooms`.
