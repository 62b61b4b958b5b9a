//! EasyPost's signatures: `hmac-sha256-hex=` and the HMAC-SHA256 of the body, by the secret in its normal form (NFKD).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use unicode_normalization::UnicodeNormalization;

/// In words, what is wrong with a signature.
pub fn verify(secret: &str, header: &str, body: &[u8]) -> Result<(), &'static str> {
    if secret.is_empty() {
        return Err("no secret is set to know it by (carriers.easypost_webhook_secret)");
    }
    let digest = header.trim().strip_prefix("hmac-sha256-hex=").and_then(bytes).ok_or("it has no signature")?;
    let key: String = secret.nfkd().collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length makes a key");
    mac.update(body);
    // In a time that tells nothing of where they differ.
    mac.verify_slice(&digest).map_err(|_| "its signature is wrong")
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

    /// By `printf '{}' | openssl dgst -sha256 -mac HMAC -macopt key:…`, of the secret as it is after NFKD.
    const PLAIN: &str = "505c20ac604f662945b662a1f13a9ca2f03bf0b1986f505d5aef48e10da8c918";
    const ACCENT: &str = "2b77ab9f4435a56a39713f2fa735e3ece5b5ec64f109503233e17033efc7f486";

    #[test]
    fn what_is_signed_is_known_and_nothing_else() {
        let signed = |digest: &str| format!("hmac-sha256-hex={digest}");
        assert_eq!(verify("hush", &signed(PLAIN), b"{}"), Ok(()));
        assert_eq!(verify("s\u{e9}cret", &signed(ACCENT), b"{}"), Ok(()));
        assert!(verify("hush", &signed(PLAIN), b"{ }").is_err());
        assert!(verify("other", &signed(PLAIN), b"{}").is_err());
        assert!(verify("", &signed(PLAIN), b"{}").is_err());
        for bad in ["", PLAIN, "hmac-sha256-hex=", "hmac-sha256-hex=éé", &signed(&PLAIN[1..])] {
            assert!(verify("hush", bad, b"{}").is_err(), "{bad}");
        }
    }
}
