//! Reading a section of configuration so that a misspelt field is an error that helps.

use crate::{CacheError, Result};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, Visitor},
    forward_to_deserialize_any,
};
use std::fmt;

/// Reads `table` as a `T`. A field that `T` does not have is an error that lists what there is and names the nearest.
///
/// # Errors
/// [`CacheError::UnknownField`]; [`CacheError::Config`] for a value of the wrong type.
pub fn parse_section<T: DeserializeOwned>(section: &str, table: toml::Table) -> Result<T> {
    refuse_unknown(section, &table, &field_names::<T>(), &[])?;
    table.try_into().map_err(|error: toml::de::Error| CacheError::config(section, error.message()))
}

/// Refuses the first field that is in neither list; `known` being `None` allows any.
pub(crate) fn refuse_unknown(
    section: &str,
    table: &toml::Table,
    known: &Option<Vec<&'static str>>,
    also_known: &[&str],
) -> Result<()> {
    let Some(known) = known else { return Ok(()) };
    let known: Vec<&str> = also_known.iter().chain(known).copied().collect();
    match table.keys().find(|field| !known.contains(&field.as_str())) {
        None => Ok(()),
        Some(field) => Err(CacheError::UnknownField {
            section: section.into(),
            field: field.as_str().into(),
            nearest: nearest(field, known.iter().copied()),
            known: known.into_iter().map(str::to_owned).collect(),
        }),
    }
}

/// The known name that `name` was probably meant to be: at most a third of its letters away.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<Box<str>> {
    let (distance, nearest) = known
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .min_by_key(|(distance, _)| *distance)?;
    (distance * 3 <= nearest.len().max(name.len())).then(|| nearest.into())
}

/// The fields that `T` reads from a map, as derived; `None` when it takes any.
pub(crate) fn field_names<'de, T: Deserialize<'de>>() -> Option<Vec<&'static str>> {
    T::deserialize(AskNames).err()?.0.map(<[_]>::to_vec)
}

/// A deserializer that has nothing to give: it only hears which fields it is asked for.
struct AskNames;

#[derive(Debug)]
struct Heard(Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for AskNames {
    type Error = Heard;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Heard> {
        Err(Heard(None))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Heard> {
        Err(Heard(Some(fields)))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fields: {:?}", self.0)
    }
}

impl std::error::Error for Heard {}

impl de::Error for Heard {
    fn custom<M: fmt::Display>(_: M) -> Heard {
        Heard(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(default)]
    struct Section {
        max_size: u64,
        path: String,
    }

    impl Default for Section {
        fn default() -> Section {
            Section { max_size: 7, path: "p".into() }
        }
    }

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let table: toml::Table = text.parse().unwrap();
        let found = match parse_section::<Section>("[it]", table) {
            Ok(section) => format!("{section:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expect);
    }

    #[test]
    fn sections() {
        check("", "Section { max_size: 7, path: \"p\" }");
        check("max_size = 1", "Section { max_size: 1, path: \"p\" }");
        check("maxsize = 1", "[it]: unknown field `maxsize`: expected max_size, path (perhaps `max_size` is meant)");
        check("zzz = 1", "[it]: unknown field `zzz`: expected max_size, path");
        check("path = 1", "[it]: invalid type: integer `1`, expected a string");
    }
}
