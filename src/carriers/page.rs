//! The page on which customers see how their order goes. Pure.
//!
//! It tells the order's number, its shipments and their reports: no name, no address, no price, nothing that was bought.

use std::fmt::Write as _;

use super::model::{Tracking, TrackingStatus};
use crate::orders::Order;

/// Stands in the page; its digest in the page's policy lets it, and nothing else.
pub const STYLE: &str = "\
:root{color-scheme:light dark}\
body{margin:0 auto;max-width:40rem;padding:1.5rem 1rem 3rem;font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}\
h1{font-size:1.5rem;margin:.25rem 0 1rem}h2{font-size:1.1rem;margin:0}p{margin:.5rem 0}\
.shop{opacity:.75;margin:0}section{border:1px solid #8886;border-radius:.75rem;padding:1rem;margin:1rem 0}\
.now{font-weight:600;font-size:1.15rem}ol{list-style:none;margin:1rem 0 0;padding:0}\
li{border-left:3px solid #8886;padding:0 0 .75rem .75rem}li:first-child{border-color:#2a7}\
time,.where{opacity:.75;font-size:.9rem}a{color:#17c}@media(prefers-color-scheme:dark){a{color:#7be}}";

pub fn of(shop: &str, order: &Order, shipments: &[Tracking]) -> String {
    let title = format!("Order {}", order.head.number);
    let mut body = String::new();
    for (n, tracking) in shipments.iter().enumerate() {
        let of = if shipments.len() > 1 { format!(" {} of {}", n + 1, shipments.len()) } else { String::new() };
        body.push_str(&shipment(&of, tracking));
    }
    let open: i64 = order.lines.iter().map(|line| line.quantity - line.shipped - line.cancelled).sum();
    let rest = match (shipments.is_empty(), open) {
        (true, 0) => "This order was cancelled.",
        (true, _) => "We are getting your order ready. It has not left yet.",
        (false, 0) => "",
        (false, _) => "More of your order is still to come.",
    };
    if !rest.is_empty() {
        let _ = write!(body, "<p>{rest}</p>");
    }
    document(shop, &title, &body)
}

/// For links that are none.
pub fn nothing_here(shop: &str) -> String {
    let body = "<p>This link does not lead to an order. Please check that it was copied as a whole, or ask the shop for it \
                again.</p>";
    document(shop, "We do not find that order", body)
}

fn shipment(of: &str, tracking: &Tracking) -> String {
    let now = match (tracking.delivered_at, tracking.status) {
        (Some(_), TrackingStatus::Unknown) => TrackingStatus::Delivered,
        (_, status) => status,
    };
    let mut html = format!("<section><h2>Parcel{of}</h2><p class=\"now\">{}</p>", now.told());
    if let Some(carrier) = &tracking.carrier {
        let number = tracking.tracking_number.as_deref().unwrap_or_default();
        let _ = write!(html, "<p>{} {}</p>", escape(carrier), escape(number));
    }
    if let Some(url) = &tracking.tracking_url {
        let _ =
            write!(html, "<p><a href=\"{}\" rel=\"noreferrer noopener\">Follow it at the carrier</a></p>", escape(url));
    }
    if !tracking.events.is_empty() {
        html.push_str("<ol>");
        for event in &tracking.events {
            let told = event.description.as_deref().unwrap_or(event.status.told());
            let at = event.at.0.format("%-d %B %Y, %H:%M UTC");
            let _ = write!(html, "<li>{}<br><time datetime=\"{}\">{at}</time>", escape(told), event.at);
            if let Some(place) = &event.place {
                let _ = write!(html, " <span class=\"where\">{}</span>", escape(place));
            }
            html.push_str("</li>");
        }
        html.push_str("</ol>");
    }
    html + "</section>"
}

fn document(shop: &str, title: &str, body: &str) -> String {
    let shop = if shop.is_empty() { String::new() } else { format!("<p class=\"shop\">{}</p>", escape(shop)) };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"robots\" content=\"noindex,nofollow\">\
         <style>{STYLE}</style></head><body>{shop}<h1>{title}</h1>{body}</body></html>"
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
