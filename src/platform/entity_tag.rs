//! The versions that a caller names in `If-Match` and `If-None-Match` (RFC 9110, 8.8.3 and 13.1).

/// Every value of those headers that is one, for the OpenAPI document.
pub const PATTERN: &str = r#"^(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*)$"#;

/// What such a value is called there.
pub const FORMAT: &str = "entity-tags";

/// What a list of entity tags stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// `*`: any, as long as the thing exists
    Any,
    These(Vec<Tag>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    weak: bool,
    /// With its quotes
    opaque: String,
}

impl Versions {
    /// Reads a list; `None` when it is no such list.
    pub fn parse(list: &str) -> Option<Self> {
        let mut rest = list.trim_matches(BLANK);
        if rest == "*" {
            return Some(Self::Any);
        }
        let mut tags = Vec::new();
        loop {
            let (tag, after) = Tag::take(rest)?;
            tags.push(tag);
            rest = after.trim_start_matches(BLANK);
            if rest.is_empty() {
                return Some(Self::These(tags));
            }
            rest = rest.strip_prefix(',')?.trim_start_matches(BLANK);
        }
    }

    /// Whether `etag`, a strong one, is among them, as `If-Match` compares: a weak tag is no promise that nothing changed.
    pub fn contain(&self, etag: &str) -> bool {
        self.any(|tag| !tag.weak && tag.opaque == etag)
    }

    /// The same as `If-None-Match` compares.
    pub fn contain_weakly(&self, etag: &str) -> bool {
        self.any(|tag| tag.opaque == etag)
    }

    fn any(&self, is: impl Fn(&Tag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(is),
        }
    }
}

const BLANK: [char; 2] = [' ', '\t'];

impl Tag {
    /// The tag that `text` begins with, and what follows it.
    fn take(text: &str) -> Option<(Self, &str)> {
        let (weak, quoted) = match text.strip_prefix("W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let end = quoted.strip_prefix('"')?.find('"')? + 2;
        let (opaque, rest) = quoted.split_at(end);
        opaque.bytes().all(|b| b.is_ascii_graphic()).then(|| (Self { weak, opaque: opaque.to_owned() }, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists_are_read_as_the_standard_writes_them() {
        let versions = |list: &str| Versions::parse(list).unwrap_or_else(|| panic!("{list}"));
        assert_eq!(versions(" * "), Versions::Any);
        let several = versions("\"a,b\", W/\"c\"\t,\"\"");
        assert!(several.contain("\"a,b\"") && several.contain("\"\"") && !several.contain("\"a\""));
        assert!(!several.contain("\"c\"") && several.contain_weakly("\"c\""));
        for bad in
            ["", ",", "a", "\"a", "a\"", "'a'", "\"a\" \"b\"", "\"a\",", "w/\"a\"", "W/ \"a\"", "*, \"a\"", "\"é\""]
        {
            assert_eq!(Versions::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        /// What the document says of the header is what the server takes.
        #[test]
        fn the_documented_pattern_is_the_parser_s(list in r#"[ *,W/"a!é\t]{0,12}|(W/)?"[ -~]{0,3}"( , ?"b")?"#) {
            let documented = jsonschema::validator_for(&serde_json::json!({"pattern": PATTERN})).expect("a pattern");
            let list = list.trim_matches(BLANK);
            prop_assert_eq!(Versions::parse(list).is_some(), documented.is_valid(&list.into()), "{:?}", list);
        }
    }
}
