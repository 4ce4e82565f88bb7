//! Query strings, read strictly: what is wrong is said in the words that clients of the older service know.

use crate::{
    answer::{Detail, Problem},
    describe::{Param, Place},
};
use axum::http::Uri;
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// The parameters of a request that have not been asked for yet, and what was wrong with those that have.
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
    wrong: Vec<Detail>,
    /// Those of the description that have not been asked for yet.
    described: Vec<&'static str>,
}

impl Params {
    /// The parameters of a call that is described with `described`: what a handler asks for is that, no more and no less.
    pub(crate) fn of(uri: &Uri, described: &[Param]) -> Params {
        let query = uri.query().unwrap_or_default();
        let in_query = described.iter().filter(|param| param.place == Place::Query);
        Params {
            pairs: form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            wrong: Vec::new(),
            described: in_query.map(|param| param.name).collect(),
        }
    }

    /// All values of a parameter, in order.
    pub(crate) fn all(&mut self, name: &str) -> Vec<String> {
        let place = self.described.iter().position(|described| *described == name);
        debug_assert!(place.is_some(), "`{name}` is not described");
        place.map(|place| self.described.swap_remove(place));
        let (found, rest) = std::mem::take(&mut self.pairs).into_iter().partition(|(key, _)| key == name);
        self.pairs = rest;
        let found: Vec<(String, String)> = found;
        found.into_iter().map(|(_, value)| value).collect()
    }

    /// The last value of a parameter.
    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.all(name).pop()
    }

    pub(crate) fn integer(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let text = self.text(name)?;
        let value: i128 = match text.trim().parse() {
            Ok(value) => value,
            Err(_) => {
                let msg = "Input should be a valid integer, unable to parse string as an integer";
                return self.wrong("int_parsing", name, msg, json!(text));
            }
        };
        if value < i128::from(*range.start()) {
            let msg = format!("Input should be greater than or equal to {}", range.start());
            return self.wrong("greater_than_equal", name, &msg, json!(text));
        }
        if value > i128::from(*range.end()) {
            let msg = format!("Input should be less than or equal to {}", range.end());
            return self.wrong("less_than_equal", name, &msg, json!(text));
        }
        u64::try_from(value).ok()
    }

    /// A number of at least 0.
    pub(crate) fn amount(&mut self, name: &'static str) -> Option<f64> {
        let text = self.text(name)?;
        match text.trim().parse::<f64>() {
            Ok(value) if !value.is_finite() => {
                self.wrong("finite_number", name, "Input should be a finite number", json!(text))
            }
            Ok(value) if value < 0.0 => {
                self.wrong("greater_than_equal", name, "Input should be greater than or equal to 0", json!(text))
            }
            Ok(value) => Some(value),
            Err(_) => {
                let msg = "Input should be a valid number, unable to parse string as a number";
                self.wrong("float_parsing", name, msg, json!(text))
            }
        }
    }

    pub(crate) fn flag(&mut self, name: &'static str) -> bool {
        let Some(text) = self.text(name) else { return false };
        match text.as_str() {
            "true" | "1" | "" => true,
            "false" | "0" => false,
            _ => {
                let msg = "Input should be a valid boolean, unable to interpret input";
                self.wrong("bool_parsing", name, msg, json!(text)).unwrap_or_default()
            }
        }
    }

    /// A parameter that something else parses.
    pub(crate) fn parsed<T>(&mut self, name: &'static str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let text = self.text(name)?;
        self.parse(name, text, parse)
    }

    /// All values of a parameter that something else parses.
    pub(crate) fn all_parsed<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        self.all(name).into_iter().filter_map(|text| self.parse(name, text, &parse)).collect()
    }

    fn parse<T>(
        &mut self,
        name: &'static str,
        text: String,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(&text) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.wrong.push(Detail::value_error(vec!["query".into(), name.into()], reason, json!(text)));
                None
            }
        }
    }

    fn wrong<T>(&mut self, kind: &'static str, name: &'static str, msg: &str, input: Value) -> Option<T> {
        self.wrong.push(Detail::new(kind, vec!["query".into(), name.into()], msg, input));
        None
    }

    /// What was asked for is right; what was not asked for does not matter, as clients of the older service expect.
    pub(crate) fn finish_lax(self) -> Result<(), Problem> {
        debug_assert!(self.described.is_empty(), "{:?} are described and not asked for", self.described);
        if self.wrong.is_empty() { Ok(()) } else { Err(Problem::Invalid(self.wrong)) }
    }

    /// What was asked for is right, and there is nothing else: a misspelt parameter is an error.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        for (name, value) in std::mem::take(&mut self.pairs) {
            let loc = vec!["query".into(), crate::answer::Loc::Name(name.into())];
            self.wrong.push(Detail::new("extra_forbidden", loc, "Extra inputs are not permitted", json!(value)));
        }
        self.finish_lax()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESCRIBED: &[Param] = &[Param::query("k", "", "")];

    fn params(query: &'static str) -> Params {
        Params::of(&Uri::from_static(query), DESCRIBED)
    }

    #[test]
    fn integers_have_bounds() {
        let check = |query, expect: Result<Option<u64>, &str>| {
            let mut params = params(query);
            let value = params.integer("k", 1..=10);
            match (params.finish(), expect) {
                (Ok(()), Ok(expect)) => assert_eq!(value, expect, "{query}"),
                (Err(Problem::Invalid(details)), Err(kind)) => assert_eq!(details[0].kind, kind, "{query}"),
                other => panic!("{query}: {other:?}"),
            }
        };
        check("/", Ok(None));
        check("/?k=10", Ok(Some(10)));
        check("/?k=3&k=%34", Ok(Some(4)));
        check("/?k=0", Err("greater_than_equal"));
        check("/?k=-99999999999999999999", Err("greater_than_equal"));
        check("/?k=11", Err("less_than_equal"));
        check("/?k=1e1", Err("int_parsing"));
        check("/?k=", Err("int_parsing"));
        check("/?q=1", Err("extra_forbidden"));
    }

    #[test]
    fn amounts_are_finite_and_not_negative() {
        for (query, expect) in [("/?k=2.5", Some(2.5)), ("/?k=-1", None), ("/?k=inf", None), ("/?k=nan", None)] {
            let mut params = params(query);
            assert_eq!(params.amount("k"), expect, "{query}");
            assert_eq!(params.finish().is_ok(), expect.is_some(), "{query}");
        }
    }

    #[test]
    #[should_panic = "not described"]
    fn what_is_asked_for_is_described() {
        params("/").text("q");
    }

    #[test]
    #[should_panic = "not asked for"]
    fn what_is_described_is_asked_for() {
        drop(params("/").finish());
    }
}
