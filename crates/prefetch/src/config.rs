//! How much a prefetcher may do: the one list of profiles, and the `[prefetch]` section that overrides them key by key.

use crate::{
    BreakerConfig, FetchPolicy, PrefetchError, RetryPolicy,
    queue::DEFAULT_CAPACITY,
    worker::{DEFAULT_REQUESTS_PER_SECOND, DEFAULT_WORKERS},
};
use prefix_indexer_analytics::{
    ScheduleLimits,
    policies::{AUTO, REUSE},
};
use prefix_indexer_cache::{ByteSize, Period};
use serde::Deserialize;
use std::time::Duration;

/// Time between two cycles of a block prefetcher.
pub const DEFAULT_INTERVAL: Duration = Duration::from_millis(500);
/// Blocks a cycle.
pub const DEFAULT_TOP_K: usize = 8;
/// Rows of the ranking that a cycle looks at before it gives up on finding more that are not resident.
pub const DEFAULT_SCAN_LIMIT: usize = 100_000;
/// How far ahead uses count for policies whose scores are probabilities.
pub const DEFAULT_SCORE_HORIZON: Duration = Duration::from_secs(300);
/// How long one fetch may take.
pub const DEFAULT_FETCH_DEADLINE: Duration = Duration::from_secs(5);

/// A ready-made set of limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    /// What it is called in configuration.
    pub name: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// Requests that may wait.
    pub queue: usize,
    /// Threads.
    pub workers: usize,
    /// Requests a second of all threads together.
    pub max_requests_per_second: f64,
    /// Predictions below this probability are not scheduled.
    pub min_probability: f64,
    /// Requests scheduled a round.
    pub max_per_round: usize,
}

/// The profile of a section that names none.
pub const STANDARD: Profile = Profile {
    name: "standard",
    help: "what the others are measured against",
    queue: DEFAULT_CAPACITY,
    workers: DEFAULT_WORKERS,
    max_requests_per_second: DEFAULT_REQUESTS_PER_SECOND,
    min_probability: 0.3,
    max_per_round: 10,
};

/// All profiles.
pub const PROFILES: &[Profile] = &[
    STANDARD,
    Profile {
        name: "high-performance",
        help: "a machine with bandwidth to spare",
        queue: 5_000,
        workers: 10,
        max_requests_per_second: 100.0,
        min_probability: 0.5,
        max_per_round: 50,
    },
    Profile {
        name: "low-resource",
        help: "little memory or a thin line: only what is probably wanted",
        queue: 100,
        workers: 1,
        max_requests_per_second: 5.0,
        min_probability: 0.7,
        max_per_round: 5,
    },
    Profile {
        name: "development",
        help: "slow enough to watch",
        queue: 50,
        workers: 1,
        max_requests_per_second: 1.0,
        min_probability: 0.3,
        max_per_round: 10,
    },
];

impl Profile {
    /// The profile of a name.
    ///
    /// # Errors
    /// [`PrefetchError::Config`] lists what there is.
    pub fn by_name(name: &str) -> Result<&'static Profile, PrefetchError> {
        PROFILES.iter().find(|profile| profile.name == name).ok_or_else(|| {
            let known: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
            config("profile", format!("there is no `{name}`: expected one of {}", known.join(", ")))
        })
    }
}

/// The `[prefetch]` section. What it does not say the profile says, or a default.
///
/// ```
/// use prefix_indexer_prefetch::PrefetchSection;
/// let section: PrefetchSection = toml::from_str("profile = \"high-performance\"\nworkers = 4")?;
/// let config = section.resolve()?;
/// assert_eq!((config.workers, config.queue, config.top_k), (4, 5_000, 8));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrefetchSection {
    /// Name of a [`Profile`].
    pub profile: Option<String>,
    /// Requests that may wait in the queue of a scheduler.
    pub queue: Option<usize>,
    /// Threads.
    pub workers: Option<usize>,
    /// Requests a second of all threads together.
    pub max_requests_per_second: Option<f64>,
    /// Bytes a second of all threads together. Default: no limit.
    pub max_bytes_per_second: Option<Rate>,
    /// Predictions below this probability are not scheduled. Where blocks are taken from an index: blocks below it are not fetched, if the
    /// policy's scores are probabilities; by default none is left out.
    pub min_probability: Option<f64>,
    /// Requests a scheduler lets through a round.
    pub max_per_round: Option<usize>,
    /// Share of the cache's budget in use from which a scheduler lets nothing through. Default 0.8.
    pub space_threshold: Option<f64>,
    /// Time between cycles. Default 500 ms.
    pub interval: Option<Period>,
    /// Blocks a cycle. Default 8.
    pub top_k: Option<usize>,
    /// Rows of the ranking a cycle looks at. Default 100,000.
    pub scan_limit: Option<usize>,
    /// Name of the scoring policy. Default `recency-chain-model`.
    pub policy: Option<String>,
    /// How far ahead uses count, for `auto` and `reuse`. Default 5 min.
    pub horizon: Option<Period>,
    /// The model being served: its blocks are favoured. Default: none.
    pub active_model: Option<String>,
    /// How long one fetch may take. Default 5 s.
    pub fetch_deadline: Option<Period>,
    /// Tries after the first. Default 3.
    pub retries: Option<u32>,
    /// How long a block that was found resident or missing is taken to be so. Default 5 min.
    pub recheck: Option<Period>,
    /// Score and report, and fetch nothing. Also as a number or a word, as the environment gives it.
    #[serde(deserialize_with = "yes_or_no")]
    pub dry_run: bool,
    /// Let the controller move minimum probability (the least score of a block: a policy whose scores are probabilities is wanted)
    /// and rate. Off unless set.
    pub adaptive: bool,
    /// Seed of the jitter of waits. Default 0.
    pub seed: u64,
    /// Address and port where a process that does nothing but prefetch answers `GET /metrics`. Default: none.
    pub metrics: Option<String>,
}

fn yes_or_no<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Is(bool),
        Number(i64),
        Word(String),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Is(is) => is,
        Written::Number(number) => is_truthy(&number.to_string()),
        Written::Word(word) => is_truthy(&word),
    })
}

/// A number of bytes a second, written as a size with or without `/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub u64);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(bytes) => Ok(Rate(bytes)),
            Written::Text(text) => {
                let size = text.trim().strip_suffix("/s").unwrap_or(&text);
                size.parse().map(|ByteSize(bytes)| Rate(bytes)).map_err(serde::de::Error::custom)
            }
        }
    }
}

/// All settings of a prefetcher, each with a value that makes sense.
#[derive(Debug, Clone, PartialEq)]
pub struct PrefetchConfig {
    /// Requests that may wait.
    pub queue: usize,
    /// Threads.
    pub workers: usize,
    /// How requests are fetched.
    pub fetch: FetchPolicy,
    /// What is scheduled.
    pub schedule: ScheduleLimits,
    /// Time between cycles.
    pub interval: Duration,
    /// Blocks a cycle.
    pub top_k: usize,
    /// Rows of the ranking a cycle looks at.
    pub scan_limit: usize,
    /// Name of the scoring policy.
    pub policy: String,
    /// How far ahead uses count, for policies whose scores are probabilities.
    pub horizon: Duration,
    /// The model being served.
    pub active_model: Option<String>,
    /// How long a block that was found resident or missing is taken to be so.
    pub recheck: Duration,
    /// Score and report, and fetch nothing.
    pub dry_run: bool,
    /// Whether the controller moves minimum probability and rate.
    pub adaptive: bool,
    /// Blocks that a policy scores lower are not fetched.
    pub min_score: f64,
}

impl Default for PrefetchConfig {
    fn default() -> PrefetchConfig {
        PrefetchSection::default().with_profile(&STANDARD)
    }
}

impl PrefetchSection {
    /// The settings: the section's, else its profile's, else the defaults.
    ///
    /// # Errors
    /// [`PrefetchError::Config`] for an unknown profile and for what makes no sense.
    pub fn resolve(&self) -> Result<PrefetchConfig, PrefetchError> {
        let profile = self.profile.as_deref().map_or(Ok(&STANDARD), Profile::by_name)?;
        let settings = self.with_profile(profile);
        let positive = |field, is_positive: bool| match is_positive {
            true => Ok(()),
            false => Err(config(field, "is not above 0".to_owned())),
        };
        let share = |field, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(config(field, format!("{value} is not between 0 and 1"))),
        };
        positive("queue", settings.queue > 0)?;
        positive("workers", settings.workers > 0)?;
        positive("max_requests_per_second", settings.fetch.max_requests_per_second.is_none_or(|rate| rate > 0.0))?;
        positive("max_bytes_per_second", settings.fetch.max_bytes_per_second != Some(0))?;
        positive("fetch_deadline", !settings.fetch.deadline.is_zero())?;
        positive("interval", !settings.interval.is_zero())?;
        positive("horizon", settings.horizon.as_millis() > 0)?;
        positive("top_k", settings.top_k > 0)?;
        positive("max_per_round", settings.schedule.max_per_round > 0)?;
        positive("scan_limit", settings.scan_limit > 0)?;
        share("min_probability", settings.schedule.min_probability)?;
        share("space_threshold", settings.schedule.space_threshold)?;
        Ok(settings)
    }

    fn with_profile(&self, profile: &Profile) -> PrefetchConfig {
        let schedule = ScheduleLimits::default();
        let period = |period: Option<Period>, default| period.map_or(default, |Period(time)| time);
        PrefetchConfig {
            queue: self.queue.unwrap_or(profile.queue),
            workers: self.workers.unwrap_or(profile.workers),
            fetch: FetchPolicy {
                deadline: period(self.fetch_deadline, DEFAULT_FETCH_DEADLINE),
                max_requests_per_second: Some(self.max_requests_per_second.unwrap_or(profile.max_requests_per_second)),
                max_bytes_per_second: self.max_bytes_per_second.map(|Rate(bytes)| bytes),
                retry: RetryPolicy {
                    retries: self.retries.unwrap_or(RetryPolicy::default().retries),
                    seed: self.seed,
                    ..RetryPolicy::default()
                },
                breaker: BreakerConfig::default(),
                patience: Duration::ZERO,
            },
            schedule: ScheduleLimits {
                min_probability: self.min_probability.unwrap_or(profile.min_probability),
                max_per_round: self.max_per_round.unwrap_or(profile.max_per_round),
                space_threshold: self.space_threshold.unwrap_or(schedule.space_threshold),
            },
            interval: period(self.interval, DEFAULT_INTERVAL),
            top_k: self.top_k.unwrap_or(DEFAULT_TOP_K),
            scan_limit: self.scan_limit.unwrap_or(DEFAULT_SCAN_LIMIT),
            policy: self.policy.clone().unwrap_or_else(|| DEFAULT_POLICY.to_owned()),
            horizon: period(self.horizon, DEFAULT_SCORE_HORIZON),
            active_model: self.active_model.clone(),
            recheck: period(self.recheck, DEFAULT_RECHECK),
            dry_run: self.dry_run || is_dry_by_environment(),
            adaptive: self.adaptive,
            min_score: self.min_probability.filter(|_| self.scores_are_probabilities()).unwrap_or(f64::NEG_INFINITY),
        }
    }

    fn scores_are_probabilities(&self) -> bool {
        matches!(self.policy.as_deref(), Some(AUTO | REUSE))
    }

    /// The settings of a prefetcher that takes blocks from an index and has no queue of predictions.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve), and [`PrefetchError::Config`] for a key that would change nothing.
    pub fn for_blocks(&self) -> Result<PrefetchConfig, PrefetchError> {
        let of_a_scheduler = [
            ("queue", self.queue.is_some()),
            ("max_per_round", self.max_per_round.is_some()),
            ("space_threshold", self.space_threshold.is_some()),
        ];
        if let Some((field, _)) = of_a_scheduler.into_iter().find(|(_, is_said)| *is_said) {
            let what =
                "is about a queue of predictions, and blocks are taken from an index: top_k says how many a cycle";
            return Err(config(field, what.to_owned()));
        }
        let settings = self.resolve()?;
        if self.min_probability.is_some() && !self.adaptive && !self.scores_are_probabilities() {
            let what = format!("`{}` scores by no probability, as {AUTO} and {REUSE} do", settings.policy);
            return Err(config("min_probability", what));
        }
        Ok(settings)
    }
}

/// The policy that ranks blocks unless another is named.
pub const DEFAULT_POLICY: &str = "recency-chain-model";
/// How long a block that was found resident or missing is taken to be so.
pub const DEFAULT_RECHECK: Duration = Duration::from_secs(300);

/// The variable that makes every prefetcher of a process score and report only.
pub const DRY_RUN_VARIABLE: &str = "PREFIX_INDEXER_PREFETCH_DRY_RUN";

/// Whether [`DRY_RUN_VARIABLE`] says so.
fn is_dry_by_environment() -> bool {
    std::env::var(DRY_RUN_VARIABLE).is_ok_and(|value| is_truthy(&value))
}

/// Whether a person who wrote this meant yes: `1`, `true`, `yes` or `on`, in any case.
pub fn is_truthy(text: &str) -> bool {
    ["1", "true", "yes", "on"].iter().any(|yes| text.trim().eq_ignore_ascii_case(yes))
}

fn config(field: &'static str, what: String) -> PrefetchError {
    PrefetchError::Config { field, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_what_they_were() {
        let check = |name, queue, workers, rate, probability, round| {
            let section = PrefetchSection { profile: Some(String::from(name)), ..PrefetchSection::default() };
            let config = section.resolve().unwrap();
            let found = (
                config.queue,
                config.workers,
                config.fetch.max_requests_per_second,
                config.schedule.min_probability,
                config.schedule.max_per_round,
            );
            assert_eq!(found, (queue, workers, Some(rate), probability, round), "{name}");
        };
        check("standard", 1_000, 2, 10.0, 0.3, 10);
        check("high-performance", 5_000, 10, 100.0, 0.5, 50);
        check("low-resource", 100, 1, 5.0, 0.7, 5);
        check("development", 50, 1, 1.0, 0.3, 10);
        let config = PrefetchConfig::default();
        assert_eq!((config.interval, config.top_k), (Duration::from_millis(500), 8));
        assert_eq!((config.fetch.deadline, config.schedule.space_threshold), (Duration::from_secs(5), 0.8));
    }

    #[test]
    fn keys_override_the_profile() {
        let section = "profile = \"low-resource\"\ntop_k = 32\ninterval = \"250ms\"\nmax_bytes_per_second = \"1GiB\"\n\
            max_requests_per_second = 100\nfetch_deadline = \"2s\"\ndry_run = true";
        let config = toml::from_str::<PrefetchSection>(section).unwrap().resolve().unwrap();
        assert_eq!((config.workers, config.top_k, config.dry_run), (1, 32, true));
        assert_eq!(config.fetch.max_bytes_per_second, Some(1 << 30));
        assert_eq!(config.fetch.max_requests_per_second, Some(100.0));
        assert_eq!((config.interval, config.fetch.deadline), (Duration::from_millis(250), Duration::from_secs(2)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |section: &str, expect: &str| {
            let error = toml::from_str::<PrefetchSection>(section).unwrap().resolve().unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("profile = \"fast\"", "expected one of standard, high-performance, low-resource, development");
        check("workers = 0", "[prefetch] workers: is not above 0");
        check("max_requests_per_second = -1.0", "max_requests_per_second");
        check("min_probability = 1.5", "min_probability: 1.5 is not between 0 and 1");
        assert!(toml::from_str::<PrefetchSection>("dry_run = \"yes\"").unwrap().dry_run);
        assert!(!toml::from_str::<PrefetchSection>("dry_run = 0").unwrap().dry_run);
        assert!(toml::from_str::<PrefetchSection>("worker = 1").is_err());
        assert!(toml::from_str::<PrefetchSection>("max_bytes_per_second = \"fast\"").is_err());
    }

    #[test]
    fn a_key_that_would_change_nothing_for_blocks_is_refused() {
        let resolve = |section: &str| toml::from_str::<PrefetchSection>(section).unwrap().for_blocks();
        let refused = |section: &str, expect: &str| {
            let error = resolve(section).unwrap_err().to_string();
            assert!(error.starts_with(expect), "{error}");
        };
        refused("queue = 5", "[prefetch] queue: is about a queue of predictions");
        refused("max_per_round = 5", "[prefetch] max_per_round: is about");
        refused("space_threshold = 0.5", "[prefetch] space_threshold: is about");
        refused("min_probability = 0.5", "[prefetch] min_probability: `recency-chain-model` scores by no probability");
        let min_score = |section: &str| resolve(section).unwrap().min_score;
        assert_eq!(min_score("policy = \"auto\"\nmin_probability = 0.5"), 0.5);
        assert_eq!(min_score("policy = \"reuse\""), f64::NEG_INFINITY);
        assert_eq!(min_score("adaptive = true\nmin_probability = 0.5"), f64::NEG_INFINITY);
    }

    #[test]
    fn truthy_words() {
        for yes in ["1", "true", "TRUE", "yes", "on", " Yes "] {
            assert!(is_truthy(yes), "{yes}");
        }
        for no in ["", "0", "false", "no", "off", "2"] {
            assert!(!is_truthy(no), "{no}");
        }
    }
}
