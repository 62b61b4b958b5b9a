//! Where an event goes: its NATS subject, and its MQTT topic. Pure.
//!
//! Both are made of the event's type and subject. What a broker would take for more than a letter stands as `%` and two
//! hexadecimal digits for each byte of it in UTF-8, so that two subjects never meet at one address, and whoever cares
//! can read the subject back.

use std::fmt::Write as _;

/// `stockhold.order.placed.orders.0193…`: each part of the event's subject is a token.
pub(super) fn nats_subject(prefix: &str, r#type: &str, subject: &str) -> String {
    let mut text = format!("{prefix}.{type}");
    for token in subject.split('/') {
        text.push('.');
        if token.is_empty() {
            text.push('%'); // NATS has no empty tokens
        }
        escape(token, |c| matches!(c, '.' | '*' | '>' | ' '), &mut text);
    }
    text
}

/// `stockhold/order.placed/orders/0193…`: the event's subject with its slashes.
pub(super) fn mqtt_topic(prefix: &str, r#type: &str, subject: &str) -> String {
    let mut text = format!("{prefix}/{type}/");
    escape(subject, |c| matches!(c, '+' | '#' | '$'), &mut text);
    text
}

fn escape(part: &str, is_special: impl Fn(char) -> bool, text: &mut String) {
    for c in part.chars() {
        if c == '%' || is_special(c) || is_refused(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                let _ = write!(text, "%{byte:02X}"); // writing to memory cannot fail
            }
        } else {
            text.push(c);
        }
    }
}

/// Control characters, and code points that are none: MQTT lets brokers cut off whoever sends them (3.1.1, 1.5.3).
fn is_refused(c: char) -> bool {
    let point = u32::from(c);
    c.is_control() || (0xFDD0..=0xFDEF).contains(&point) || point & 0xFFFE == 0xFFFE
}

/// Where reports about the stock of a source are sent to.
pub(super) fn reports_topic(prefix: &str, source: &str) -> String {
    format!("{prefix}/feeds/{source}/stock")
}

/// The source that a topic of reports names.
pub(super) fn source_of<'a>(prefix: &str, topic: &'a str) -> Option<&'a str> {
    topic.strip_prefix(prefix)?.strip_prefix("/feeds/")?.strip_suffix("/stock")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What stood before it was escaped.
    fn unescaped(text: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            if first == b'%' && after.len() >= 2 {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&after[..2]).unwrap(), 16).unwrap());
                rest = &after[2..];
            } else {
                bytes.push(first);
                rest = after;
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn addresses_are_readable() {
        for (subject, nats, mqtt) in [
            ("products/TEA-1", "s.stock.low.products.TEA-1", "s/stock.low/products/TEA-1"),
            ("products/A.B*>", "s.stock.low.products.A%2EB%2A%3E", "s/stock.low/products/A.B*>"),
            ("products/+#$", "s.stock.low.products.+#$", "s/stock.low/products/%2B%23%24"),
            ("products/50%", "s.stock.low.products.50%25", "s/stock.low/products/50%25"),
            ("products/Käse 1", "s.stock.low.products.Käse%201", "s/stock.low/products/Käse 1"),
            ("products//\0", "s.stock.low.products.%.%00", "s/stock.low/products//%00"),
            ("a/\u{fffe}\u{85}", "s.stock.low.a.%EF%BF%BE%C2%85", "s/stock.low/a/%EF%BF%BE%C2%85"),
        ] {
            assert_eq!(nats_subject("s", "stock.low", subject), nats);
            assert_eq!(mqtt_topic("s", "stock.low", subject), mqtt);
        }
    }

    proptest! {
        #[test]
        fn a_subject_is_valid_and_can_be_read_back(subject in "(\\PC|[\u{0}-\u{ff}./%*>]){0,20}") {
            let address = nats_subject("s", "t", &subject);
            prop_assert!(!address.contains(|c: char| c.is_control() || matches!(c, ' ' | '*' | '>')));
            prop_assert!(address.split('.').all(|token| !token.is_empty()), "{address}");
            let read: Vec<String> = address.split('.').skip(2)
                .map(|token| if token == "%" { String::new() } else { unescaped(token) }).collect();
            prop_assert_eq!(read.join("/"), subject);
        }

        #[test]
        fn a_topic_is_valid_and_can_be_read_back(subject in "(\\PC|[\u{0}-\u{ff}/%+#$]){0,20}") {
            let address = mqtt_topic("s", "t", &subject);
            prop_assert!(!address.contains(|c: char| c.is_control() || matches!(c, '+' | '#' | '$')));
            prop_assert_eq!(unescaped(address.strip_prefix("s/t/").unwrap()), subject);
        }
    }

    #[test]
    fn topics_name_the_source() {
        assert_eq!(source_of("shop/a", &reports_topic("shop/a", "scales")), Some("scales"));
        assert_eq!(source_of("shop", "other/feeds/scales/stock"), None);
    }
}
