//! Stripe's signatures: `t=<seconds>,v1=<HMAC-SHA256 over "<seconds>.<body>">`, several `v1` while a secret is changed.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Seconds by which the time of a message may differ from ours.
const TOLERANCE: u64 = 300;

/// In words, what is wrong with a signature.
pub fn verify(secret: &str, header: &str, body: &[u8], now: i64) -> Result<(), &'static str> {
    if secret.is_empty() {
        return Err("no secret is set to know it by (stripe.webhook_secret)");
    }
    let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
    let time = parts().find(|(name, _)| *name == "t").map(|(_, time)| time).ok_or("its signature has no time")?;
    let seconds: i64 = time.parse().map_err(|_| "its signature has no time")?;
    if now.abs_diff(seconds) > TOLERANCE {
        return Err("it is too old, or from the future");
    }
    let signed = || {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length makes a key");
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    };
    // In a time that tells nothing of where they differ.
    let is_right = |digest: &str| bytes(digest).is_some_and(|digest| signed().verify_slice(&digest).is_ok());
    if parts().filter(|(name, _)| *name == "v1").any(|(_, digest)| is_right(digest)) {
        return Ok(());
    }
    Err("its signature is wrong")
}

/// Of hexadecimal digits.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> =
        hex.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    (digits.len() == 64).then(|| digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By `printf '1000.{}' | openssl dgst -sha256 -hmac whsec_test`.
    const RIGHT: &str = "291d03e2e8ca99ce6b2dd4a86974b888822bbc53e44c7c5718da223c4c86d444";

    #[test]
    fn what_is_signed_is_known_and_nothing_else() {
        let verify = |header: &str, body: &[u8], now: i64| verify("whsec_test", header, body, now);
        let right = format!("t=1000,v1={RIGHT}");
        assert_eq!(verify(&right, b"{}", 1000), Ok(()));
        assert_eq!(verify(&format!("t=1000, v0=1, v1={}, v1={RIGHT}", "0".repeat(64)), b"{}", 1000), Ok(()));
        assert_eq!(verify(&right, b"{}", 1300), Ok(()));
        assert!(verify(&right, b"{}", 1301).is_err() && verify(&right, b"{}", 699).is_err());
        assert!(verify(&right, b"{ }", 1000).is_err());
        for bad in ["", "t=1000", "v1=00", "t=1000,v1=", "t=x,v1=00", &format!("t=1001,v1={RIGHT}"), "t=1000,v1=éé"] {
            assert!(verify(bad, b"{}", 1000).is_err(), "{bad}");
        }
        assert!(super::verify("", &right, b"{}", 1000).is_err());
    }
}
