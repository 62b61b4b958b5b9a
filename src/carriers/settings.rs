//! The settings `carriers.*`.

use serde::{Deserialize, Serialize};
use url::Url;

use super::directory::{Carrier, code};

/// What customers are shown of shipments.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What the shop is called on tracking pages.
    pub shop_name: String,
    /// Carriers beside those that are known: `Name=https://…/{number}`, separated by semicolons.
    pub templates: String,
}

impl Settings {
    /// What is wrong with these, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.shop_name.chars().count() > 100 {
            return Err("carriers.shop_name must have 100 characters or less".to_owned());
        }
        self.own().map(|_| ())
    }

    pub(super) fn own(&self) -> Result<Vec<Carrier>, String> {
        self.templates.split(';').map(str::trim).filter(|item| !item.is_empty()).map(carrier).collect()
    }
}

fn carrier(item: &str) -> Result<Carrier, String> {
    let wrong = || format!("carriers.templates: '{item}' is not as in Bike=https://bike.example.com/{{number}}");
    let (name, template) = item.split_once('=').ok_or_else(wrong)?;
    let (name, template) = (name.trim(), template.trim());
    let url: Url = template.parse().map_err(|_| wrong())?;
    let is_right = ["https", "http"].contains(&url.scheme()) && template.contains("{number}");
    if !is_right || code(name).is_empty() {
        return Err(wrong());
    }
    Ok(Carrier { code: code(name), name: name.to_owned(), link_template: template.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_addresses_with_a_number() {
        let own = |templates: &str| Settings { templates: templates.to_owned(), ..Settings::default() }.own();
        let two = own("Bike Post=https://bike.example.com/{number}; Van=http://van.example.com/?n={number}").unwrap();
        assert_eq!((two[0].code.as_str(), two[0].name.as_str(), two.len()), ("bike-post", "Bike Post", 2));
        assert_eq!(own(""), Ok(Vec::new()));
        for wrong in ["Bike", "Bike=bike/{number}", "Bike=https://x/", "=https://x/{number}", "A=javascript:{number}"] {
            assert!(own(wrong).is_err(), "{wrong}");
        }
    }
}
