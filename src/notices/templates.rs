//! What mails say: texts with placeholders, which files may stand in for.

use std::collections::BTreeMap;
use std::path::Path;

/// A text of ours, and the names that it may use.
pub struct BuiltIn {
    pub name: &'static str,
    text: &'static str,
    placeholders: &'static [&'static str],
}

macro_rules! built_in {
    ($($constant:ident = $name:literal, $placeholders:expr;)*) => {
        $(pub const $constant: &BuiltIn = &BuiltIn {
            name: $name, text: include_str!(concat!("templates/", $name, ".txt")), placeholders: $placeholders,
        };)*
        const ALL: &[&BuiltIn] = &[$($constant),*];
    };
}

built_in! {
    BACK_IN_STOCK = "back_in_stock", &["sku", "name", "quantity"];
    ALERTS = "alerts", &["count", "lines"];
    ORDER_PLACED = "order_placed", &["number", "customer", "lines"];
    ORDER_SHIPPED = "order_shipped", &["number", "customer", "lines", "carrier", "tracking_number"];
    ORDER_CANCELLED = "order_cancelled", &["number", "customer", "lines", "reason"];
}

/// The texts that are used.
pub struct Templates(BTreeMap<&'static str, Template>);

impl Templates {
    /// Our own, and in their place the files of a folder: `back_in_stock.txt` and so on. In words, what is wrong with them.
    pub fn load(dir: Option<&Path>) -> Result<Self, String> {
        let mut templates = BTreeMap::new();
        for one in ALL {
            templates.insert(one.name, Template::parse(one.text, one.placeholders)?);
        }
        let Some(dir) = dir else { return Ok(Self(templates)) };
        let unreadable = |error: std::io::Error| format!("notices.templates_dir: {}: {error}", dir.display());
        for file in std::fs::read_dir(dir).map_err(unreadable)? {
            let path = file.map_err(unreadable)?.path();
            if path.extension().is_none_or(|extension| extension != "txt") {
                continue;
            }
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let Some(one) = ALL.iter().find(|one| one.name == stem) else {
                let names = ALL.iter().map(|one| one.name).collect::<Vec<_>>().join(", ");
                return Err(format!("{}: there is no template of this name; there are {names}", path.display()));
            };
            let text = std::fs::read_to_string(&path).map_err(unreadable)?;
            let parsed = Template::parse(&text, one.placeholders);
            templates.insert(one.name, parsed.map_err(|error| format!("{}: {error}", path.display()))?);
        }
        Ok(Self(templates))
    }

    /// The subject and the text of a mail.
    pub fn render(&self, which: &BuiltIn, values: &[(&str, &str)]) -> (String, String) {
        let Template { subject, body } = &self.0[which.name];
        // A subject is one line, whatever a product is called.
        let subject = fill(subject, values).split_whitespace().collect::<Vec<_>>().join(" ");
        (subject, fill(body, values))
    }
}

enum Piece {
    Text(String),
    Placeholder(String),
}

struct Template {
    subject: Vec<Piece>,
    body: Vec<Piece>,
}

impl Template {
    fn parse(text: &str, placeholders: &[&str]) -> Result<Self, String> {
        let text = text.replace("\r\n", "\n");
        let split = text.strip_prefix("Subject: ").and_then(|rest| rest.split_once("\n\n"));
        let (subject, body) = split.ok_or("it must begin with a line `Subject: …`, and an empty line after it")?;
        Ok(Self { subject: pieces(subject, placeholders)?, body: pieces(body, placeholders)? })
    }
}

fn pieces(text: &str, placeholders: &[&str]) -> Result<Vec<Piece>, String> {
    let mut parts = text.split('{');
    let mut pieces = vec![Piece::Text(parts.next().unwrap_or_default().to_owned())];
    for part in parts {
        let (name, rest) = part.split_once('}').ok_or("a placeholder is not closed: `}` is missing")?;
        if !placeholders.contains(&name) {
            return Err(format!(
                "there is no placeholder {{{name}}} here; there are {{{}}}",
                placeholders.join("}, {")
            ));
        }
        pieces.push(Piece::Placeholder(name.to_owned()));
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(pieces)
}

fn fill(pieces: &[Piece], values: &[(&str, &str)]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Placeholder(name) => {
            values.iter().find(|(known, _)| known == name).map_or(String::new(), |(_, value)| (*value).to_owned())
        }
    };
    pieces.iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_can_be_read_and_are_filled() {
        let templates = Templates::load(None).unwrap();
        let values = [("sku", "TEA-1"), ("name", "Green\nTea"), ("quantity", "2")];
        let (subject, body) = templates.render(BACK_IN_STOCK, &values);
        assert_eq!(subject, "Green Tea is back in stock");
        assert!(body.contains("TEA-1") && !body.contains('{'), "{body}");
    }

    #[test]
    fn wrong_ones_are_refused_with_what_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        let with = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let told = Templates::load(Some(dir.path())).err().unwrap_or_default();
            std::fs::remove_file(path).unwrap();
            told
        };
        assert_eq!(with("alerts.txt", "Subject: {count}\n\n{lines}"), "");
        assert_eq!(with("alerts.md", "of no concern"), "");
        assert!(with("alerts.txt", "Subject: {sku}\n\n").contains("there is no placeholder {sku} here"));
        assert!(with("alerts.txt", "Subject: {count\n\n").contains("`}` is missing"));
        assert!(with("alerts.txt", "{lines}").contains("must begin with a line"));
        assert!(with("back.txt", "Subject: x\n\n").contains("there is no template of this name"));
    }
}
