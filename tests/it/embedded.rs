//! The embedded environments service, asked through a real socket.

mod client;
mod lists;
mod operations;
mod refusals;
mod updates;
