//! No secret comes out anywhere: marked ones are planted in every place that takes one, all that can succeed or fail
//! is driven with the log at its most talkative, and all that came out is searched, decoded twice.

mod bad_settings;
mod commands;
mod outputs;
mod plants;
mod requests;
mod scenes;
mod searcher;
