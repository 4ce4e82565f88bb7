//! Tiers that fail and race, driven by a backend that does so on command.
#![expect(clippy::unwrap_used, reason = "tests")]

mod faulty;
mod fill_race;
mod outage;
