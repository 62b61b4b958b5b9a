//! Log-in by an OpenID provider: the authorization code flow with PKCE. The protocol and its checks are those of the
//! crate `openidconnect`; here is whom to call, when, and what follows.
//!
//! - **Invariant:** the provider is never called in a transaction. It is the one that the server calls at all.
//! - **Invariant:** who somebody is follows from a token that was checked (signature, issuer, audience, nonce, expiry),
//!   and a user is known by issuer and subject alone once they have come: names and addresses change hands.
//! - The provider need not be there. What it says of itself is asked for when somebody first logs in, kept for a while,
//!   and asked for again.

mod call;
mod log_in;
mod settings;
mod ticket;

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreIdTokenClaims, CoreJwsSigningAlgorithm,
    CoreProviderMetadata, CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IssuerUrl, OAuth2TokenResponse, PkceCodeChallenge, RedirectUrl, RequestTokenError,
    Scope, SignatureVerificationError, SubjectIdentifier, TokenResponse, UserInfoError,
};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use url::Url;

use self::call::Calls;
use super::error::{Error, Result};

pub use self::log_in::{Callback, PATIENCE};
pub use self::settings::{ClientSecret, LoginClaim, Oidc};
pub use self::ticket::Ticket;

/// Where the provider sends people back to.
const CALLBACK: &str = "/v1/session/oidc/callback";

/// How long what the provider says of itself is believed, its keys among it.
const KEPT: Duration = Duration::from_secs(3600);
/// How soon it may be asked again: when it was away, or when a token is signed by a key that is new.
const PAUSE: Duration = Duration::from_secs(3);

/// Log-ins that call the provider at once, and how long one may wait for its turn.
const AT_ONCE: usize = 16;
const TURN: Duration = Duration::from_secs(1);

/// What tokens may be signed with: by keys of which the provider alone has the private half.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// The provider of the settings.
pub struct Provider {
    settings: Oidc,
    callback: Url,
    calls: Calls,
    known: Mutex<Known>,
    turns: Semaphore,
}

/// What the provider said of itself, and since when it does not answer.
#[derive(Default)]
struct Known {
    metadata: Option<(Arc<CoreProviderMetadata>, Instant)>,
    away: Option<Instant>,
}

/// Who somebody is to the provider.
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    /// What the token says of them; the rest is asked for with the other one, if it is needed.
    facts: Facts,
    access_token: AccessToken,
}

/// What the provider says of somebody, as far as it counts.
#[derive(Debug, Default)]
struct Facts {
    login: Option<String>,
    name: Option<String>,
}

impl Provider {
    /// `public_url` is where browsers find the server.
    pub fn new(settings: Oidc, public_url: &Url) -> Self {
        let mut callback = public_url.clone();
        callback.set_path(&format!("{}{CALLBACK}", public_url.path().trim_end_matches('/')));
        callback.set_query(None);
        callback.set_fragment(None);
        Self { settings, callback, calls: Calls::default(), known: Mutex::default(), turns: Semaphore::new(AT_ONCE) }
    }

    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Where the browser has to go.
    async fn authorize(&self, ticket: &Ticket) -> Result<Url> {
        let _turn = self.turn().await?;
        let client = self.client(self.metadata(KEPT).await?);
        let (state, nonce) = (ticket.state(), ticket.nonce());
        let request = client.authorize_url(CoreAuthenticationFlow::AuthorizationCode, || state, || nonce);
        let scopes = self.settings.scopes.split_whitespace().map(|scope| Scope::new(scope.to_owned()));
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&ticket.verifier());
        Ok(request.add_scopes(scopes).set_pkce_challenge(challenge).url().0)
    }

    /// Who came back with this code.
    async fn redeem(&self, code: &str, ticket: &Ticket) -> Result<Identity> {
        let _turn = self.turn().await?;
        let client = self.client(self.metadata(KEPT).await?);
        let exchange = client.exchange_code(AuthorizationCode::new(code.to_owned())).map_err(refused)?;
        let exchange = exchange.set_pkce_verifier(ticket.verifier());
        let answer = exchange.request_async(&self.calls).await.map_err(|error| match error {
            RequestTokenError::Request(error) => away(error),
            other => refused(other),
        })?;
        let token = answer.id_token().ok_or(Error::TokenRefused)?;
        let claims = match check(&client, token, &answer, ticket) {
            // It may have a new key.
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                let client = self.client(self.metadata(PAUSE).await?);
                check(&client, token, &answer, ticket)
            }
            checked => checked,
        };
        let claims = claims.map_err(refused)?;
        let facts = self.facts(
            claims.email().map(|it| it.as_str()).filter(|_| claims.email_verified() == Some(true)),
            claims.preferred_username().map(|it| it.as_str()),
            claims.name().and_then(|it| it.get(None)).map(|it| it.as_str()),
        );
        let subject = claims.subject().as_str();
        if subject.is_empty() || subject.len() > 255 || subject.contains('\0') {
            return Err(refused(ClaimsVerificationError::InvalidSubject("its length or characters".to_owned())));
        }
        let access_token = answer.access_token().clone();
        Ok(Identity { issuer: self.settings.issuer.clone(), subject: subject.to_owned(), facts, access_token })
    }

    /// What is known of them, which not every provider writes into its tokens.
    async fn facts_of(&self, identity: &Identity) -> Result<Facts> {
        let Identity { facts: Facts { login, name }, subject, access_token, .. } = identity;
        let known = || Facts { login: login.clone(), name: name.clone() };
        if login.is_some() {
            return Ok(known());
        }
        let _turn = self.turn().await?;
        let client = self.client(self.metadata(KEPT).await?);
        // The answer has to be about the same subject.
        let subject = SubjectIdentifier::new(subject.clone());
        let Ok(request) = client.user_info(access_token.clone(), Some(subject)) else { return Ok(known()) };
        let asked = request.request_async(&self.calls).await;
        let claims: CoreUserInfoClaims = asked.map_err(|error| match error {
            UserInfoError::Request(error) => away(error),
            other => refused(other),
        })?;
        Ok(self.facts(
            claims.email().map(|it| it.as_str()).filter(|_| claims.email_verified() == Some(true)),
            claims.preferred_username().map(|it| it.as_str()),
            claims.name().and_then(|it| it.get(None)).map(|it| it.as_str()).or(name.as_deref()),
        ))
    }

    fn facts(&self, verified_email: Option<&str>, username: Option<&str>, name: Option<&str>) -> Facts {
        let login = match self.settings.login_claim {
            LoginClaim::Email => verified_email,
            LoginClaim::PreferredUsername => username,
        };
        Facts { login: login.map(str::to_owned), name: name.map(str::to_owned) }
    }

    fn client(&self, metadata: Arc<CoreProviderMetadata>) -> Client {
        let metadata = Arc::unwrap_or_clone(metadata);
        let methods = metadata.token_endpoint_auth_methods_supported();
        let by_body = methods.is_some_and(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
        let secret = self.settings.client_secret.as_ref();
        let secret = secret.map(|secret| openidconnect::ClientSecret::new(secret.0.clone()));
        CoreClient::from_provider_metadata(metadata, ClientId::new(self.settings.client_id.clone()), secret)
            .set_redirect_uri(RedirectUrl::from_url(self.callback.clone()))
            .set_auth_type(if by_body { AuthType::RequestBody } else { AuthType::BasicAuth })
    }

    /// What the provider says of itself, no older than this if it answers. It is asked once for all who wait.
    async fn metadata(&self, at_most: Duration) -> Result<Arc<CoreProviderMetadata>> {
        let mut known = self.known.lock().await;
        if let Some((metadata, since)) = &known.metadata
            && since.elapsed() < at_most
        {
            return Ok(metadata.clone());
        }
        if known.away.is_none_or(|since| since.elapsed() >= PAUSE) {
            let issuer = IssuerUrl::new(self.settings.issuer.clone()).map_err(away)?;
            match CoreProviderMetadata::discover_async(issuer, &self.calls).await {
                Ok(metadata) => {
                    let metadata = Arc::new(metadata);
                    *known = Known { metadata: Some((metadata.clone(), Instant::now())), away: None };
                    return Ok(metadata);
                }
                // What it said before is better than nothing.
                Err(error) if known.metadata.is_none() => {
                    known.away = Some(Instant::now());
                    return Err(away(error));
                }
                Err(error) => {
                    known.away = Some(Instant::now());
                    away(error);
                }
            }
        }
        known.metadata.as_ref().map(|(metadata, _)| metadata.clone()).ok_or(Error::ProviderAway)
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        match tokio::time::timeout(TURN, self.turns.acquire()).await {
            Ok(turn) => Ok(turn.expect("the turns are never closed")),
            Err(_) => Err(Error::Busy),
        }
    }
}

/// What the token says, if it is the provider's, for us, of now, and of this log-in; and if the other token came with it.
fn check<'a>(
    client: &Client,
    token: &'a CoreIdToken,
    answer: &CoreTokenResponse,
    ticket: &Ticket,
) -> Result<&'a CoreIdTokenClaims, ClaimsVerificationError> {
    let verifier = client.id_token_verifier().set_allowed_algs(ALGORITHMS);
    let claims = token.claims(&verifier, &ticket.nonce())?;
    if let Some(expected) = claims.access_token_hash() {
        let algorithm = token.signing_alg().map_err(ClaimsVerificationError::SignatureVerification)?;
        let key = token.signing_key(&verifier).map_err(ClaimsVerificationError::SignatureVerification)?;
        let found = AccessTokenHash::from_token(answer.access_token(), algorithm, key)
            .map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
        if found != *expected {
            return Err(ClaimsVerificationError::Other("the access token is another one".to_owned()));
        }
    }
    Ok(claims)
}

/// The cause is for the log: who asks learns that it did not work. No cause has a code, a token or a secret in it.
fn away(cause: impl StdError + 'static) -> Error {
    tracing::warn!(error = &cause as &(dyn StdError + 'static), "the OpenID provider cannot be asked");
    Error::ProviderAway
}

fn refused(cause: impl StdError + 'static) -> Error {
    tracing::warn!(error = &cause as &(dyn StdError + 'static), "what the OpenID provider answered was refused");
    Error::TokenRefused
}
