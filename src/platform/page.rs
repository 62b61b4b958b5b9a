//! Keyset paging: a cursor names the last row seen, so pages are stable under writes and the
//! thousandth costs as much as the first.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::Problem;

pub const DEFAULT_LIMIT: i64 = 50;

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Pass as `cursor` to get the next page; null on the last
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

/// The part of a list call's parameters that every list shares.
#[derive(Clone, Debug, Default)]
pub struct PageRequest<K> {
    pub limit: i64,
    pub after: Option<K>,
}

impl<K: Serialize + DeserializeOwned> PageRequest<K> {
    pub fn new(limit: Option<i64>, cursor: Option<&str>) -> Result<Self, Problem> {
        let after = cursor.map(decode).transpose()?;
        Ok(Self { limit: limit.unwrap_or(DEFAULT_LIMIT), after })
    }

    /// One more than asked for: the extra row tells whether there is a next page.
    pub fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// Makes the page of what `fetch()` rows were asked for; `key` names a row for the cursor.
    pub fn page<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Page<T> {
        let limit = usize::try_from(self.limit).expect("limits are 1 to 200");
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(|row| encode(&key(row))) } else { None };
        Page { items: rows, next_cursor }
    }
}

impl<T> Page<T> {
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next_cursor: self.next_cursor }
    }
}

pub fn encode<K: Serialize>(key: &K) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).expect("cursor keys are plain data"))
}

pub fn decode<K: DeserializeOwned>(cursor: &str) -> Result<K, Problem> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Problem::invalid_cursor())?;
    serde_json::from_slice(&bytes).map_err(|_| Problem::invalid_cursor())
}

/// A cursor key made of text; refuses what no row of ours can hold, before Postgres has to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TextKey(pub String);

impl TryFrom<String> for TextKey {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains('\0') { Err("NUL in a cursor") } else { Ok(Self(text)) }
    }
}

impl From<TextKey> for String {
    fn from(key: TextKey) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_whether_more_follows() {
        let request = PageRequest::<TextKey>::new(Some(2), None).expect("no cursor");
        let page = request.page(vec!["a", "b", "c"], |row| TextKey((*row).to_owned()));
        assert_eq!(page.items, ["a", "b"]);
        let next = PageRequest::<TextKey>::new(Some(2), page.next_cursor.as_deref()).expect("own cursor");
        assert_eq!(next.after.expect("set").0, "b");
        assert!(request.page(vec!["a", "b"], |row| TextKey((*row).to_owned())).next_cursor.is_none());
    }

    #[test]
    fn foreign_cursors_are_refused() {
        for bad in ["%%%", "e30", "ImFcdTAwMDAi"] {
            assert!(PageRequest::<TextKey>::new(None, Some(bad)).is_err(), "{bad}");
        }
    }
}
