//! The carriers that are known, and where they show a parcel. Pure.

use serde::Serialize;
use utoipa::ToSchema;

/// A carrier whose tracking numbers lead somewhere
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"code": "dpd", "name": "DPD", "link_template": "https://tracking.dpd.de/status/en_US/parcel/{number}"}))]
pub struct Carrier {
    pub code: String,
    pub name: String,
    /// Where it shows a parcel; `{number}` stands for the tracking number
    pub link_template: String,
}

/// Code, name, and where parcels are shown.
const KNOWN: &[(&str, &str, &str)] = &[
    ("colissimo", "La Poste Colissimo", "https://www.laposte.fr/outils/suivre-vos-envois?code={number}"),
    ("deutsche-post", "Deutsche Post", "https://www.deutschepost.de/de/s/sendungsverfolgung.html?piececode={number}"),
    ("dhl", "DHL", "https://www.dhl.com/global-en/home/tracking.html?tracking-id={number}"),
    ("dpd", "DPD", "https://tracking.dpd.de/status/en_US/parcel/{number}"),
    ("evri", "Evri", "https://www.evri.com/track/parcel/{number}"),
    ("fedex", "FedEx", "https://www.fedex.com/fedextrack/?trknbr={number}"),
    ("gls", "GLS", "https://gls-group.com/track/{number}"),
    ("hermes", "Hermes", "https://www.myhermes.de/empfangen/sendungsverfolgung/sendungsinformation#{number}"),
    ("la-poste", "La Poste", "https://www.laposte.fr/outils/suivre-vos-envois?code={number}"),
    ("osterreichische-post", "Österreichische Post", "https://www.post.at/sv/sendungsdetails?snr={number}"),
    ("postnl", "PostNL", "https://postnl.nl/tracktrace/?B={number}"),
    ("royal-mail", "Royal Mail", "https://www.royalmail.com/track-your-item#/tracking-results/{number}"),
    ("swiss-post", "Swiss Post", "https://service.post.ch/ekp-web/ui/entry/search/{number}"),
    ("ups", "UPS", "https://www.ups.com/track?tracknum={number}"),
    ("usps", "USPS", "https://tools.usps.com/go/TrackConfirmAction?tLabels={number}"),
];

/// Those that are known, and the operator's own, which come first.
#[derive(Debug)]
pub struct Directory(Vec<Carrier>);

impl Directory {
    pub fn new(own: Vec<Carrier>) -> Self {
        let known = KNOWN.iter().map(|(code, name, template)| Carrier {
            code: (*code).to_owned(),
            name: (*name).to_owned(),
            link_template: (*template).to_owned(),
        });
        let codes: Vec<String> = own.iter().map(|carrier| carrier.code.clone()).collect();
        let known = known.filter(|carrier| !codes.contains(&carrier.code));
        Self(own.clone().into_iter().chain(known).collect())
    }

    pub fn all(&self) -> &[Carrier] {
        &self.0
    }

    /// Where a carrier shows a parcel. Orders have the carrier as somebody wrote it: code and name serve, in any case.
    pub fn link(&self, carrier: Option<&str>, number: Option<&str>) -> Option<String> {
        let (wanted, number) = (plain(carrier?), number?);
        let is_meant = |it: &&Carrier| plain(&it.code) == wanted || plain(&it.name) == wanted;
        let carrier = self.0.iter().find(is_meant)?;
        let number: String = url::form_urlencoded::byte_serialize(number.as_bytes()).collect();
        Some(carrier.link_template.replace("{number}", &number.replace('+', "%20")))
    }
}

/// A name as it is compared: its letters and digits.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// A name as a code.
pub fn code(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carrier_is_found_however_it_is_written() {
        let own = Carrier {
            code: "bike".to_owned(),
            name: "Bike!".to_owned(),
            link_template: "https://bike.example.com/{number}".to_owned(),
        };
        let directory = Directory::new(vec![own]);
        let link = |carrier, number| directory.link(Some(carrier), Some(number));
        assert_eq!(link("royal mail", "RM1"), link("ROYAL-MAIL", "RM1"));
        assert_eq!(link("Bike", "1/2 ä").as_deref(), Some("https://bike.example.com/1%2F2%20%C3%A4"));
        assert_eq!(link("nobody", "1"), None);
        assert_eq!(directory.link(Some("DHL"), None), None);
    }

    #[test]
    fn every_template_has_a_place_for_the_number() {
        assert!(KNOWN.iter().all(|(_, _, template)| template.starts_with("https://") && template.contains("{number}")));
        assert!(KNOWN.is_sorted_by(|a, b| a.0 < b.0));
    }
}
