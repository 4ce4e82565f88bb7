//! What is asked of a prefetcher: one thing to have at hand before somebody wants it.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

/// One thing to fetch ahead of its use: a block by its key, or whatever an endpoint answers to parameters.
///
/// Two requests are equal when they are for the same thing ([`cache_key`](Self::cache_key)), whatever their priority or age; which
/// of several comes first is another question, answered by [`urgency`](Self::urgency).
///
/// ```
/// use prefix_indexer_prefetch::PrefetchRequest;
/// let a = PrefetchRequest::new("search", [("q", "tea"), ("page", "2")], 1_000).with_priority(1);
/// let b = PrefetchRequest::new("search", [("page", "2"), ("q", "tea")], 2_000).with_priority(9);
/// assert_eq!(a, b);
/// assert_eq!(a.cache_key(), "search?page=2&q=tea");
/// assert!(b.urgency() > a.urgency());
/// ```
#[derive(Clone)]
pub struct PrefetchRequest {
    endpoint: Arc<str>,
    params: BTreeMap<String, String>,
    /// Made once, of the two above.
    cache_key: Arc<str>,
    /// Higher comes first.
    pub priority: i32,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: u64,
    /// How long after that it is still worth doing; `None`: for ever.
    pub max_age: Option<Duration>,
    /// Why it was made.
    pub source_prediction: Option<SourcePrediction>,
    /// Bytes that it is expected to move; 0 where nobody knows. Rate limits count them before the real number is known.
    pub expected_bytes: u64,
}

/// What predicted that something will be wanted, and how sure it was.
#[derive(Debug, Clone, PartialEq)]
pub struct SourcePrediction {
    /// Which predictor, as in `markov` or the name of a scoring policy.
    pub source: Arc<str>,
    /// Probability of use, 0 to 1.
    pub confidence: f64,
}

/// Which request comes first: the higher priority, then the older one. The greater is the more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Urgency {
    priority: i32,
    created_at_ms: Reverse<u64>,
}

impl PrefetchRequest {
    /// A request of priority 0 that never expires. Of parameters with the same name the last one counts.
    pub fn new<N: Into<String>, V: Into<String>>(
        endpoint: &str,
        params: impl IntoIterator<Item = (N, V)>,
        created_at_ms: u64,
    ) -> PrefetchRequest {
        let params: BTreeMap<String, String> =
            params.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let endpoint: Arc<str> = endpoint.into();
        let cache_key = if params.is_empty() { Arc::clone(&endpoint) } else { key_of(&endpoint, &params).into() };
        PrefetchRequest {
            endpoint,
            params,
            cache_key,
            priority: 0,
            created_at_ms,
            max_age: None,
            source_prediction: None,
            expected_bytes: 0,
        }
    }

    /// A request for the block of this key.
    pub fn for_block(key: &str, created_at_ms: u64) -> PrefetchRequest {
        PrefetchRequest::new::<String, String>(key, [], created_at_ms)
    }

    /// The same with this priority; higher comes first.
    pub fn with_priority(self, priority: i32) -> PrefetchRequest {
        PrefetchRequest { priority, ..self }
    }

    /// The same, worth doing for so long.
    pub fn with_max_age(self, max_age: Duration) -> PrefetchRequest {
        PrefetchRequest { max_age: Some(max_age), ..self }
    }

    /// The same, made because of this prediction. A confidence outside 0 to 1 is brought inside; one that is no number is 0.
    pub fn with_prediction(self, source: &str, confidence: f64) -> PrefetchRequest {
        let confidence = if confidence.is_nan() { 0.0 } else { confidence.clamp(0.0, 1.0) };
        let prediction = SourcePrediction { source: source.into(), confidence };
        PrefetchRequest { source_prediction: Some(prediction), ..self }
    }

    /// The same, expected to move so many bytes.
    pub fn with_expected_bytes(self, expected_bytes: u64) -> PrefetchRequest {
        PrefetchRequest { expected_bytes, ..self }
    }

    /// Who is asked.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// What is asked, in order of name.
    pub fn params(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.params.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The key under which the answer lies in a cache: the endpoint, and its parameters in order of name.
    pub fn cache_key(&self) -> &str {
        &self.cache_key
    }

    /// The same, to be kept without a copy.
    pub fn shared_cache_key(&self) -> &Arc<str> {
        &self.cache_key
    }

    /// How sure the prediction was; a half where nobody said, which gives the answer the usual time to live.
    pub fn confidence(&self) -> f64 {
        self.source_prediction.as_ref().map_or(0.5, |prediction| prediction.confidence)
    }

    /// How long ago it was made; nothing for one that was made in the future (a clock that goes wrong).
    pub fn age(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.created_at_ms))
    }

    /// Whether it is older than it may be.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.max_age.is_some_and(|max_age| self.age(now_ms) > max_age)
    }

    /// Its place among others.
    pub fn urgency(&self) -> Urgency {
        Urgency { priority: self.priority, created_at_ms: Reverse(self.created_at_ms) }
    }
}

impl PartialEq for PrefetchRequest {
    fn eq(&self, other: &PrefetchRequest) -> bool {
        self.cache_key == other.cache_key
    }
}

impl Eq for PrefetchRequest {}

impl Hash for PrefetchRequest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.cache_key.hash(state);
    }
}

impl fmt::Debug for PrefetchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrefetchRequest({}, priority {})", self.cache_key, self.priority)
    }
}

/// `endpoint?name=value&...`, in order of name. An endpoint that carries its parameters itself names the same thing.
fn key_of(endpoint: &str, params: &BTreeMap<String, String>) -> String {
    let mut key = String::from(endpoint);
    for (index, (name, value)) in params.iter().enumerate() {
        key.push(if index == 0 { '?' } else { '&' });
        escape(name, &mut key);
        key.push('=');
        escape(value, &mut key);
    }
    key
}

/// What separates is escaped, so that no two sets of parameters look alike.
fn escape(text: &str, into: &mut String) {
    for c in text.chars() {
        match c {
            '%' => into.push_str("%25"),
            '&' => into.push_str("%26"),
            '=' => into.push_str("%3D"),
            other => into.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn key(params: &[(&str, &str)]) -> String {
        PrefetchRequest::new("e", params.iter().copied(), 0).cache_key().to_owned()
    }

    #[test]
    fn keys_do_not_depend_on_the_order_and_do_not_collide() {
        assert_eq!(key(&[("b", "2"), ("a", "1")]), key(&[("a", "1"), ("b", "2")]));
        assert_eq!(key(&[]), "e");
        let odd: [&[(&str, &str)]; 5] =
            [&[("a", "1&b=2")], &[("a", "1"), ("b", "2")], &[("a=1&b", "2")], &[("a", "1%26b=2")], &[("a", "1")]];
        assert_eq!(odd.iter().map(|params| key(params)).collect::<HashSet<_>>().len(), odd.len());
    }

    #[test]
    fn age_and_expiry() {
        let request = PrefetchRequest::for_block("k", 10_000).with_max_age(Duration::from_secs(5));
        let check = |now_ms, age_ms, expired| {
            assert_eq!(request.age(now_ms), Duration::from_millis(age_ms));
            assert_eq!(request.is_expired(now_ms), expired, "{now_ms}");
        };
        check(9_000, 0, false);
        check(10_000, 0, false);
        check(15_000, 5_000, false);
        check(15_001, 5_001, true);
        assert!(!PrefetchRequest::for_block("k", 0).is_expired(u64::MAX));
    }

    #[test]
    fn the_higher_then_the_older_is_more_urgent() {
        let request = |priority, created_at_ms| PrefetchRequest::for_block("k", created_at_ms).with_priority(priority);
        assert!(request(2, 9).urgency() > request(1, 1).urgency());
        assert!(request(1, 1).urgency() > request(1, 2).urgency());
        assert_eq!(request(1, 1).urgency(), request(1, 1).urgency());
        assert!(request(-1, 1).urgency() < request(0, 1).urgency());
    }

    #[test]
    fn sets_hold_each_thing_once() {
        let requests = [PrefetchRequest::for_block("k", 1), PrefetchRequest::for_block("k", 2).with_priority(3)];
        assert_eq!(HashSet::from(requests).len(), 1);
    }

    #[test]
    fn confidence_is_a_probability() {
        let confidence = |given| PrefetchRequest::for_block("k", 0).with_prediction("markov", given).confidence();
        assert_eq!([confidence(0.3), confidence(7.0), confidence(-1.0), confidence(f64::NAN)], [0.3, 1.0, 0.0, 0.0]);
        assert_eq!(PrefetchRequest::for_block("k", 0).confidence(), 0.5);
    }
}
