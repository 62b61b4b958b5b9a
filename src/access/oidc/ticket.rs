//! What stands for a log-in on its way to the provider and back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::{CsrfToken, Nonce, PkceCodeVerifier};
use sha2::{Digest, Sha256};

use crate::access::secret;

/// The one secret of a log-in, which the browser keeps in a cookie. All else is a digest of it: what the provider is
/// given tells nothing of the rest, and what is stored (one digest more) is of no use to who reads the database.
pub struct Ticket(pub String);

impl Ticket {
    /// 190 random bits.
    pub fn generate() -> Self {
        Self(secret::letters(secret::SECRET))
    }

    /// The digest under which the log-in is stored until it is done.
    pub fn hash(&self) -> [u8; 32] {
        self.digest("pending")
    }

    /// What the provider sends back with the browser, so that the answer is known to belong to this browser's question.
    pub fn state(&self) -> CsrfToken {
        CsrfToken::new(self.text("state"))
    }

    /// Whether this is the state; digests are compared, so that the time it takes tells nothing.
    pub fn has_state(&self, given: &str) -> bool {
        secret::hash(given) == secret::hash(self.state().secret())
    }

    /// What the token has to name, so that none made for another log-in does.
    pub fn nonce(&self) -> Nonce {
        Nonce::new(self.text("nonce"))
    }

    /// Without it the code is worth nothing (PKCE).
    pub fn verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.text("verifier"))
    }

    fn text(&self, purpose: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.digest(purpose))
    }

    fn digest(&self, purpose: &str) -> [u8; 32] {
        Sha256::new()
            .chain_update("oidc ")
            .chain_update(purpose)
            .chain_update(" ")
            .chain_update(&self.0)
            .finalize()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_ticket_differs() {
        let ticket = Ticket::generate();
        let told =
            [ticket.state().secret().clone(), ticket.nonce().secret().clone(), ticket.verifier().secret().clone()];
        assert!(told.iter().all(|text| text.len() == 43), "PKCE asks for 43 characters or more");
        assert!(told[0] != told[1] && told[1] != told[2] && told[0] != told[2]);
        assert!(ticket.has_state(&told[0]) && !ticket.has_state(&told[1]));
        assert!(!Ticket::generate().has_state(&told[0]));
    }
}
