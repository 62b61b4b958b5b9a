//! What the codes, notes and times of the file mean.

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, Utc, Weekday};

/// Whether a stock code is goods, and if not, what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Goods,
    Postage,
    Manual,
    Discount,
    Samples,
    Fee,
    BadDebt,
    Voucher,
    Pads,
    Test,
    Unknown,
}

/// Codes that stand for a service or a booking. Two of them look like goods and are told by name
/// alone: 22016 is "Dotcomgiftshop Gift Voucher £100.00", 23444 is "Next Day Carriage".
const NO_GOODS: [(&str, Kind); 16] = [
    ("POST", Kind::Postage),
    ("DOT", Kind::Postage),
    ("C2", Kind::Postage),
    ("C3", Kind::Postage),
    ("23444", Kind::Postage),
    ("M", Kind::Manual),
    ("D", Kind::Discount),
    ("S", Kind::Samples),
    ("BANK CHARGES", Kind::Fee),
    ("AMAZONFEE", Kind::Fee),
    ("CRUK", Kind::Fee),
    ("B", Kind::BadDebt),
    ("PADS", Kind::Pads),
    ("22016", Kind::Voucher),
    ("ADJUST", Kind::Manual),
    ("ADJUST2", Kind::Manual),
];

/// By list, then by rule: goods have a number (`85123A`), or the prefix of the shop's own line (`DCGS`).
pub fn kind(code: &str) -> Kind {
    let same = |name: &str| code.trim().eq_ignore_ascii_case(name);
    if let Some((_, kind)) = NO_GOODS.iter().find(|(name, _)| same(name)) {
        return *kind;
    }
    let starts = |prefix: &str| code.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    if starts("gift_") {
        return Kind::Voucher;
    }
    if starts("TEST") {
        return Kind::Test;
    }
    let numbered = code.bytes().filter(u8::is_ascii_digit).count() >= 3;
    if numbered || starts("DCGS") { Kind::Goods } else { Kind::Unknown }
}

/// Words of notes that staff left in the place of a description.
const NOTES: [&str; 22] = [
    "damage",
    "check",
    "found",
    "missing",
    "lost",
    "mia",
    "sold",
    "amazon",
    "ebay",
    "fba",
    "adjust",
    "wrong",
    "thrown away",
    "throw away",
    "dotcom",
    "faulty",
    "counted",
    "mailout",
    "error",
    "barcode",
    "incorrect",
    "sample",
];

/// Whether a description of a line without a price names goods: in this file names are capitals and
/// notes are not, but for a few notes that shout.
pub fn names_goods(description: &str) -> bool {
    let text = description.trim();
    let letters = || text.chars().filter(|c| c.is_alphabetic());
    let capitals = letters().filter(|c| c.is_uppercase()).count();
    let lower = text.to_lowercase();
    let note = NOTES.iter().any(|word| lower == *word || lower.split_whitespace().next() == Some(word))
        || lower.contains('?')
        || ["damage", "error", "lost"].iter().any(|word| lower.contains(word));
    text.len() >= 4 && !note && capitals * 10 >= letters().count() * 6
}

/// The reason of a stock adjustment for the note on a write-off.
pub fn write_off_reason(note: &str) -> &'static str {
    const REASONS: [(&str, &[&str]); 5] = [
        (
            "damaged",
            &["damag", "thrown", "throw", "broken", "crush", "crack", "wet", "rust", "mould", "smudge", "faulty"],
        ),
        ("damaged", &["incorrectly made", "can't sell", "unsaleable", "dagamed", "smashed"]),
        ("sample", &["sample", "showroom", "display", "given away", "mailout"]),
        ("lost", &["lost", "missing", "mia", "mystery", "?"]),
        ("correction", &["sold", "wrong", "barcode", "label", "adjust", "dotcom", "amazon", "ebay", "code", "error"]),
    ];
    let note = note.to_lowercase();
    if note.contains("count") || note.contains("check") {
        return "recount";
    }
    let hit = REASONS.iter().find(|(_, words)| words.iter().any(|word| note.contains(word)));
    hit.map_or("other", |(reason, _)| reason)
}

/// The shop's clock is Europe/London: summer time runs from the last Sunday of March, 01:00 UTC, to
/// the last Sunday of October, 01:00 UTC. The hour that happens twice is read as the first.
pub fn london(local: NaiveDateTime) -> DateTime<Utc> {
    let change = |month: u32, hour: u32| {
        let last = NaiveDate::from_ymd_opt(local.year(), month, 31)?;
        let back = last.weekday().days_since(Weekday::Sun);
        (last - Duration::days(i64::from(back))).and_hms_opt(hour, 0, 0)
    };
    let summer = match (change(3, 1), change(10, 2)) {
        (Some(spring), Some(autumn)) => local >= spring && local < autumn,
        _ => false,
    };
    (local - Duration::hours(i64::from(summer))).and_utc()
}

/// ISO 3166 code of a country as the file names it; none for "Unspecified", "European Community"
/// and the Channel Islands, which are two.
pub fn country(name: &str) -> Option<&'static str> {
    const COUNTRIES: [(&str, &str); 41] = [
        ("Australia", "AU"),
        ("Austria", "AT"),
        ("Bahrain", "BH"),
        ("Belgium", "BE"),
        ("Bermuda", "BM"),
        ("Brazil", "BR"),
        ("Canada", "CA"),
        ("Cyprus", "CY"),
        ("Czech Republic", "CZ"),
        ("Denmark", "DK"),
        ("EIRE", "IE"),
        ("Finland", "FI"),
        ("France", "FR"),
        ("Germany", "DE"),
        ("Greece", "GR"),
        ("Hong Kong", "HK"),
        ("Iceland", "IS"),
        ("Israel", "IL"),
        ("Italy", "IT"),
        ("Japan", "JP"),
        ("Korea", "KR"),
        ("Lebanon", "LB"),
        ("Lithuania", "LT"),
        ("Malta", "MT"),
        ("Netherlands", "NL"),
        ("Nigeria", "NG"),
        ("Norway", "NO"),
        ("Poland", "PL"),
        ("Portugal", "PT"),
        ("RSA", "ZA"),
        ("Saudi Arabia", "SA"),
        ("Singapore", "SG"),
        ("Spain", "ES"),
        ("Sweden", "SE"),
        ("Switzerland", "CH"),
        ("Thailand", "TH"),
        ("USA", "US"),
        ("United Arab Emirates", "AE"),
        ("United Kingdom", "GB"),
        ("Ireland", "IE"),
        ("South Africa", "ZA"),
    ];
    COUNTRIES.iter().find(|(country, _)| *country == name).map(|(_, code)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_bookings_are_no_goods() {
        let cases = [
            ("85123A", Kind::Goods),
            ("85123a", Kind::Goods),
            ("15056BL", Kind::Goods),
            ("DCGSSBOY", Kind::Goods),
            ("DCGS0066P", Kind::Goods),
            ("POST", Kind::Postage),
            ("m", Kind::Manual),
            ("C2", Kind::Postage),
            ("gift_0001_10", Kind::Voucher),
            ("22016", Kind::Voucher),
            ("23444", Kind::Postage),
            ("BANK CHARGES", Kind::Fee),
            ("TEST001", Kind::Test),
            ("WHAT", Kind::Unknown),
        ];
        for (code, expected) in cases {
            assert_eq!(kind(code), expected, "{code}");
        }
    }

    #[test]
    fn names_are_told_from_notes() {
        for name in ["WHITE METAL LANTERN", "FRENCH BLUE METAL DOOR SIGN No", "POLYESTER FILLER PAD 40x40cm"] {
            assert!(names_goods(name), "{name}");
        }
        for note in ["?", "damages", "check", "MIA", "FBA", "FOUND", "DAMAGED", "POSSIBLE DAMAGES OR LOST?", "ebay", ""]
        {
            assert!(!names_goods(note), "{note}");
        }
    }

    #[test]
    fn a_note_gives_the_reason_of_a_write_off() {
        let cases = [
            ("wet/rusty", "damaged"),
            ("Thrown away.", "damaged"),
            ("?lost", "lost"),
            ("?", "lost"),
            ("", "other"),
            ("sold as set on dotcom", "correction"),
            ("showroom", "sample"),
            ("counted", "recount"),
        ];
        for (note, reason) in cases {
            assert_eq!(write_off_reason(note), reason, "{note}");
        }
    }

    #[test]
    fn london_keeps_summer_time() {
        let at = |text: &str| {
            let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap();
            london(local).format("%m-%d %H:%M").to_string()
        };
        assert_eq!(at("2010-12-01 08:26"), "12-01 08:26");
        assert_eq!(at("2011-03-27 00:59"), "03-27 00:59");
        assert_eq!(at("2011-03-27 02:00"), "03-27 01:00");
        assert_eq!(at("2011-09-30 17:22"), "09-30 16:22");
        assert_eq!(at("2011-10-30 02:00"), "10-30 02:00");
    }
}
