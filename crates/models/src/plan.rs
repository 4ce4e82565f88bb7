//! A warm-up plan: what to load, in which order, and what that is expected to be worth.
//!
//! One document, whoever makes or reads it: `plan --json` prints it, the HTTP service answers it, `warm` takes it. Reading is
//! strict: a field that is missing, unknown or out of its range is an error that names it.

use crate::MAX_INTEGER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use smol_str::SmolStr;
use thiserror::Error;

/// What to load before a moment, best first, every prefix behind those that it extends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Plan {
    /// Names the plan; of what [`sealed`](Self::sealed) made, the digest of all else.
    pub plan_id: String,
    /// The moment that it was made for, in milliseconds.
    pub now_ms: u64,
    /// How long after `now_ms` uses count, in milliseconds; at least 1.
    pub horizon_ms: u64,
    /// What the entries may take together, in bytes.
    pub budget_bytes: u64,
    /// What they take.
    pub total_bytes: u64,
    /// The scoring policy that was asked for.
    pub policy: String,
    /// The one that chose: what `auto` stood for, else the same. Empty where the plan does not say.
    #[serde(default)]
    pub chosen_by: String,
    /// Why that policy, what bounded the plan, and what was left out; a sentence or more for people.
    pub why: String,
    /// Uses within the horizon that are expected to find their block because of the plan: the sum of the entries'
    /// `expected_uses`.
    pub expected_hits: f64,
    /// Expected hits over all uses that are expected of known prefixes of those asked for, resident ones among them; 0 to 1.
    pub estimated_hit_improvement: f64,
    /// Milliseconds that having the entries is expected to save: of each, what a use without it costs, times `probability`. The
    /// first use of a block that is not there brings it back, so it is the first use alone that a plan saves.
    #[serde(default)]
    pub expected_saved_ms: f64,
    /// In the order of loading.
    pub entries: Vec<PlanEntry>,
}

/// One prefix of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanEntry {
    /// Names the prefix within tenant and model.
    pub prefix_id: SmolStr,
    /// The prefix that this one extends, and that has to be there for this one to be of use.
    #[serde(default)]
    pub parent_id: Option<SmolStr>,
    /// Whose prefix it is.
    pub tenant: SmolStr,
    /// Of which model.
    pub model_id: SmolStr,
    /// Blocks before this one in its chain.
    #[serde(default)]
    pub depth: Option<u32>,
    /// Bytes to load.
    pub bytes: u64,
    /// Its lowest layer. This and the next three are for keys of objects that name layers or pages; what made the plan may not
    /// know them.
    #[serde(default)]
    pub layer_min: Option<u32>,
    /// Its highest layer.
    #[serde(default)]
    pub layer_max: Option<u32>,
    /// Its first page.
    #[serde(default)]
    pub page_start: Option<u32>,
    /// Its last page.
    #[serde(default)]
    pub page_end: Option<u32>,
    /// Probability of a use within the horizon; 0 to 1.
    pub probability: f64,
    /// Uses expected within the horizon.
    pub expected_uses: f64,
    /// Milliseconds that its first use saves if it is there; none where nobody knows.
    #[serde(default)]
    pub saves_ms: Option<f64>,
    /// Why it is here, for people.
    pub hint: String,
}

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A text that has to say something is empty.
    #[error("field `{field}`: is empty")]
    Empty {
        /// Which field, as in `entries[3].tenant`.
        field: String,
    },
    /// A number that is outside its range.
    #[error("field `{field}`: {value} is not {expected}")]
    Range {
        /// Which field, as in `entries[3].probability`.
        field: String,
        /// What it says.
        value: f64,
        /// What it may say.
        expected: &'static str,
    },
}

impl Plan {
    /// The plan with the digest of its content as `plan_id`: equal content, equal name, on every machine.
    #[must_use]
    pub fn sealed(mut self) -> Plan {
        let mut digest = Digest(Vec::with_capacity(256 * (1 + self.entries.len())));
        for number in [self.now_ms, self.horizon_ms, self.budget_bytes, self.total_bytes] {
            digest.number(number);
        }
        digest.text(&self.policy);
        digest.text(&self.chosen_by);
        digest.text(&self.why);
        for number in [self.expected_hits, self.estimated_hit_improvement, self.expected_saved_ms] {
            digest.number(number.to_bits());
        }
        for entry in &self.entries {
            for text in [&entry.prefix_id, &entry.tenant, &entry.model_id] {
                digest.text(text);
            }
            digest.optional(entry.parent_id.as_ref(), |digest, parent_id| digest.text(parent_id));
            for number in [entry.depth, entry.layer_min, entry.layer_max, entry.page_start, entry.page_end] {
                digest.optional(number, |digest, number| digest.number(u64::from(number)));
            }
            for number in [entry.bytes, entry.probability.to_bits(), entry.expected_uses.to_bits()] {
                digest.number(number);
            }
            digest.optional(entry.saves_ms, |digest, saves_ms| digest.number(saves_ms.to_bits()));
            digest.text(&entry.hint);
        }
        self.plan_id = blake3::hash(&digest.0).to_hex()[..32].to_owned();
        self
    }

    /// Whether every field says what it may say. What was read has been checked.
    ///
    /// # Errors
    /// [`PlanError`] names the first field that does not.
    pub fn check(&self) -> Result<(), PlanError> {
        let at = |field: &str| field.to_owned();
        text(&self.plan_id, || at("plan_id"))?;
        integer(self.now_ms, || at("now_ms"))?;
        integer(self.horizon_ms, || at("horizon_ms"))?;
        if self.horizon_ms == 0 {
            return Err(PlanError::Range { field: at("horizon_ms"), value: 0.0, expected: "at least 1" });
        }
        integer(self.budget_bytes, || at("budget_bytes"))?;
        integer(self.total_bytes, || at("total_bytes"))?;
        at_least_0(self.expected_hits, || at("expected_hits"))?;
        share(self.estimated_hit_improvement, || at("estimated_hit_improvement"))?;
        at_least_0(self.expected_saved_ms, || at("expected_saved_ms"))?;
        for (index, entry) in self.entries.iter().enumerate() {
            let at = |field: &str| format!("entries[{index}].{field}");
            text(&entry.prefix_id, || at("prefix_id"))?;
            text(&entry.tenant, || at("tenant"))?;
            text(&entry.model_id, || at("model_id"))?;
            integer(entry.bytes, || at("bytes"))?;
            share(entry.probability, || at("probability"))?;
            at_least_0(entry.expected_uses, || at("expected_uses"))?;
            at_least_0(entry.saves_ms.unwrap_or(0.0), || at("saves_ms"))?;
        }
        Ok(())
    }
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Plan::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Plan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Plan, D::Error> {
        let plan = Plan::deserialize(deserializer)?;
        plan.check().map_err(D::Error::custom)?;
        Ok(plan)
    }
}

fn text(text: &str, field: impl Fn() -> String) -> Result<(), PlanError> {
    if text.is_empty() { Err(PlanError::Empty { field: field() }) } else { Ok(()) }
}

fn integer(value: u64, field: impl Fn() -> String) -> Result<(), PlanError> {
    let expected = "at most 2^63 - 1";
    if value > MAX_INTEGER { Err(PlanError::Range { field: field(), value: value as f64, expected }) } else { Ok(()) }
}

fn at_least_0(value: f64, field: impl Fn() -> String) -> Result<(), PlanError> {
    let expected = "a finite number of at least 0";
    if value.is_finite() && value >= 0.0 { Ok(()) } else { Err(PlanError::Range { field: field(), value, expected }) }
}

fn share(value: f64, field: impl Fn() -> String) -> Result<(), PlanError> {
    let expected = "from 0 to 1";
    if (0.0..=1.0).contains(&value) { Ok(()) } else { Err(PlanError::Range { field: field(), value, expected }) }
}

/// What is digested: numbers as eight bytes, little-endian; texts behind their length; what may be absent behind 0 or 1.
struct Digest(Vec<u8>);

impl Digest {
    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend(text.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Digest, T)) {
        self.number(u64::from(value.is_some()));
        if let Some(value) = value {
            put(self, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn example() -> Plan {
        let entry = PlanEntry {
            prefix_id: "p".into(),
            parent_id: Some("o".into()),
            tenant: "acme".into(),
            model_id: "m".into(),
            depth: Some(1),
            bytes: 4096,
            layer_min: Some(0),
            layer_max: Some(31),
            page_start: Some(16),
            page_end: Some(17),
            probability: 0.25,
            expected_uses: 0.3,
            saves_ms: Some(10.0),
            hint: "uses=3".into(),
        };
        let plan = Plan {
            plan_id: String::new(),
            now_ms: 1_000,
            horizon_ms: 60_000,
            budget_bytes: 1 << 20,
            total_bytes: 4096,
            policy: "auto".into(),
            chosen_by: "reuse".into(),
            why: "because".into(),
            expected_hits: 0.3,
            estimated_hit_improvement: 0.1,
            expected_saved_ms: 2.5,
            entries: vec![entry],
        };
        plan.sealed()
    }

    #[test]
    fn a_plan_comes_back_and_is_named_by_its_content() {
        let plan = example();
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        assert_eq!((plan.plan_id.len(), plan.clone().sealed()), (32, plan.clone()));
        let check = |change: &dyn Fn(&mut PlanEntry)| {
            let mut other = plan.clone();
            change(&mut other.entries[0]);
            assert_ne!(other.sealed().plan_id, plan.plan_id);
        };
        check(&|entry| entry.parent_id = None);
        check(&|entry| entry.layer_max = Some(30));
        check(&|entry| entry.page_start = None);
    }

    #[test]
    fn what_may_be_left_out() {
        let mut document = serde_json::to_value(example()).unwrap();
        document.as_object_mut().unwrap().remove("expected_saved_ms");
        document["entries"][0]["parent_id"] = Value::Null;
        document.as_object_mut().unwrap().remove("chosen_by");
        for field in ["depth", "layer_min", "layer_max", "page_start", "page_end", "saves_ms"] {
            document["entries"][0].as_object_mut().unwrap().remove(field);
        }
        let entry = serde_json::from_value::<Plan>(document).unwrap().entries.remove(0);
        assert_eq!((entry.layer_min, entry.page_end), (None, None));
    }

    #[test]
    fn bad_documents_are_told_what_is_wrong() {
        let check = |change: &dyn Fn(&mut Value), expect: &str| {
            let mut document = serde_json::to_value(example()).unwrap();
            change(&mut document);
            let error = serde_json::from_value::<Plan>(document).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check(&|plan| plan["plan_id"] = json!(""), "field `plan_id`: is empty");
        check(&|plan| plan["horizon_ms"] = json!(0), "field `horizon_ms`: 0 is not at least 1");
        check(&|plan| plan["total_bytes"] = json!(u64::MAX), "field `total_bytes`: ");
        check(&|plan| plan["now_ms"] = json!(-1), "invalid value: integer `-1`");
        check(&|plan| plan["estimated_hit_improvement"] = json!(1.5), "field `estimated_hit_improvement`: 1.5 is not");
        check(&|plan| plan["entries"][0]["probability"] = json!(-0.5), "field `entries[0].probability`: -0.5 is not");
        check(&|plan| plan["entries"][0]["expected_uses"] = json!(-1), "field `entries[0].expected_uses`: -1 is not");
        check(&|plan| plan["entries"][0]["saves_ms"] = json!(-1), "field `entries[0].saves_ms`: -1 is not");
        check(&|plan| plan["entries"][0]["layer_min"] = json!(-1), "invalid value: integer `-1`");
        check(&|plan| plan["entries"][0]["tenant"] = json!(""), "field `entries[0].tenant`: is empty");
        check(&|plan| plan["entries"][0]["parent"] = json!("o"), "unknown field `parent`");
        check(&|plan| plan["entires"] = json!([]), "unknown field `entires`");
        check(&|plan| drop(plan.as_object_mut().unwrap().remove("policy")), "missing field `policy`");
        check(&|plan| plan["entries"] = json!({}), "expected a sequence");
    }
}
