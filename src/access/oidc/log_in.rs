//! Logging in by the provider: there, back, and who it is then.

use std::time::Duration;

use sqlx::PgConnection;
use url::Url;
use uuid::Uuid;

use super::{Facts, Identity, Provider, Ticket};
use crate::access::Access;
use crate::access::error::{Error, Result};
use crate::access::repo::{oidc, users};
use crate::access::session::{OPENED_BY_PROVIDER, Origin, Token};
use crate::access::user::{self, NewUser, User};
use crate::platform::audit::{self, Actor};
use crate::platform::client::network;
use crate::platform::{Caller, CallerKind};

/// How long somebody may take at the provider.
pub const PATIENCE: Duration = Duration::from_secs(600);
/// Log-ins on their way from one network, behind which many may sit.
const MOST: i64 = 100;
/// Who made users whom nobody made before they came.
const MAKER: &str = "OpenID provider";

/// What the provider sends back with the browser.
#[derive(Debug, Default)]
pub struct Callback {
    pub code: Option<String>,
    pub state: Option<String>,
    /// Who says to have answered (RFC 9207).
    pub issuer: Option<String>,
}

impl Access {
    /// The provider by which people may log in, if there is one.
    pub(in crate::access) fn provider(&self) -> Result<&Provider> {
        self.provider.as_deref().ok_or(Error::NoProvider)
    }

    /// The secret that the browser keeps meanwhile, and where it has to go.
    pub(in crate::access) async fn begin_log_in(&self, return_to: &str, origin: &Origin) -> Result<(Ticket, Url)> {
        let provider = self.provider()?;
        if !is_local(return_to) {
            return Err(Error::ReturnTo);
        }
        let ticket = Ticket::generate();
        let url = provider.authorize(&ticket).await?;
        let from = origin.address.map(|address| network(address).to_string());
        let limit = (PATIENCE.as_secs_f64(), MOST);
        let mut conn = self.db.conn().await?;
        if !oidc::insert(&mut conn, &ticket.hash(), return_to, from.as_deref(), limit).await? {
            return Err(Error::TooManyLogins(Duration::from_secs(60)));
        }
        Ok((ticket, url))
    }

    /// A new session for whoever comes back with the provider's word, and where they wanted to go.
    pub(in crate::access) async fn finish_log_in(
        &self,
        ticket: Option<&Ticket>,
        callback: &Callback,
        origin: &Origin,
    ) -> Result<(Token, String)> {
        let provider = self.provider()?;
        // What does not fit is left alone: a page elsewhere that sends somebody here ends nothing.
        let state = callback.state.as_deref().unwrap_or_default();
        let ticket = ticket.filter(|ticket| ticket.has_state(state)).ok_or(Error::NotBegun)?;
        let patience = PATIENCE.as_secs_f64();
        let taken = oidc::take(&mut *self.db.conn().await?, &ticket.hash(), patience).await?;
        let return_to = taken.ok_or(Error::NotBegun)?;
        let code = callback.code.as_deref().ok_or(Error::ProviderRefused)?;
        if callback.issuer.as_ref().is_some_and(|issuer| *issuer != provider.settings.issuer) {
            return Err(Error::TokenRefused);
        }
        let from = origin.address.map(network);
        if let Some(from) = from {
            self.addresses.take(from).map_err(Error::TooManyLogins)?;
        }
        let opened = self.log_in_with(provider, code, ticket, origin).await;
        match (&opened, from) {
            (Err(Error::TokenRefused | Error::Stranger), _) => {
                tracing::info!(address = origin.address.map(tracing::field::display), "a log-in was refused");
            }
            (_, Some(from)) => self.addresses.give_back(from),
            _ => {}
        }
        Ok((opened?, return_to))
    }

    async fn log_in_with(&self, provider: &Provider, code: &str, ticket: &Ticket, origin: &Origin) -> Result<Token> {
        let identity = provider.redeem(code, ticket).await?;
        let (issuer, subject) = (&identity.issuer, &identity.subject);
        let known = oidc::user_known_as(&mut *self.db.conn().await?, issuer, subject).await?;
        let user = match known {
            Some(user) => user,
            None => {
                let facts = provider.facts_of(&identity).await?;
                self.meet(&identity, facts, provider.settings.new_users.as_deref(), origin).await?
            }
        };
        let opened = self.open_session(user, origin, &OPENED_BY_PROVIDER, None).await;
        opened.map(|(token, _)| token).map_err(|error| match error {
            Error::LoginFailed => Error::Stranger,
            other => other,
        })
    }

    /// Somebody comes for the first time: a user with their login is theirs from now on; or they get a new one.
    async fn meet(&self, identity: &Identity, facts: Facts, role: Option<&str>, origin: &Origin) -> Result<Uuid> {
        let login = facts.login.as_deref().and_then(|login| user::login(login).ok()).ok_or(Error::Stranger)?;
        let mut tx = self.db.begin().await?;
        let by_login = users::Filter { login: Some(&login), ..users::Filter::default() };
        let met = match (users::find(&mut tx, &by_login).await?, role) {
            (Some(user), _) => self.link_in_tx(&mut tx, user.id, identity, origin).await?,
            (None, Some(role)) => {
                let name = facts.name.map(|name| name.trim().chars().take(200).collect::<String>());
                let name =
                    name.filter(|name| !name.is_empty() && !name.contains('\0')).unwrap_or_else(|| login.clone());
                let role = role.to_owned();
                let user = NewUser { login, name, role, warehouses: None, channels: None, disabled: false };
                self.welcome_in_tx(&mut tx, &user, identity, origin).await?
            }
            (None, None) => return Err(Error::Stranger),
        };
        tx.commit().await?;
        Ok(met)
    }

    async fn link_in_tx(&self, conn: &mut PgConnection, user: Uuid, of: &Identity, origin: &Origin) -> Result<Uuid> {
        let before = self.lock_user_in_tx(conn, user).await?;
        // Who comes twice at once finds that the other has done it.
        if oidc::user_known_as(conn, &of.issuer, &of.subject).await? == Some(user) {
            return Ok(user);
        }
        if before.fields.disabled || before.issuer.is_some() {
            return Err(Error::Stranger);
        }
        oidc::link(conn, user, Some((&of.issuer, &of.subject))).await?;
        let after = self.lock_user_in_tx(conn, user).await?;
        let by = Caller { id: user, kind: CallerKind::User, name: after.fields.login.clone().into() };
        self.record_meeting(conn, Actor::Caller(by), origin, Some(&before), &after).await?;
        Ok(user)
    }

    async fn welcome_in_tx(
        &self,
        conn: &mut PgConnection,
        user: &NewUser,
        of: &Identity,
        origin: &Origin,
    ) -> Result<Uuid> {
        let made = match self.create_user_in_tx(conn, user, MAKER).await {
            Ok(made) => made,
            // Who comes twice at once finds that the other has done it.
            Err(Error::UserExists(_)) => {
                return oidc::user_known_as(conn, &of.issuer, &of.subject).await?.ok_or(Error::Stranger);
            }
            Err(Error::UnknownRole(role)) => {
                tracing::error!(role, "oidc.new_users names a role that there is not: nobody new can log in");
                return Err(Error::Stranger);
            }
            Err(other) => return Err(other),
        };
        oidc::link(conn, made.id, Some((&of.issuer, &of.subject))).await?;
        let made = self.lock_user_in_tx(conn, made.id).await?;
        self.record_meeting(conn, Actor::Server, origin, None, &made).await?;
        Ok(made.id)
    }

    async fn record_meeting(
        &self,
        conn: &mut PgConnection,
        by: Actor,
        origin: &Origin,
        before: Option<&User>,
        after: &User,
    ) -> Result<()> {
        let entry = OPENED_BY_PROVIDER.entry(by, origin).about(after.address()).is(after);
        let entry = if let Some(before) = before { entry.was(before) } else { entry };
        Ok(audit::record_in_tx(conn, &entry).await?)
    }

    /// A locked user is nobody to the provider any more, and their sessions end.
    pub(in crate::access) async fn unlink_in_tx(&self, conn: &mut PgConnection, user: Uuid) -> Result<()> {
        oidc::link(conn, user, None).await?;
        self.end_sessions_in_tx(conn, user).await
    }
}

/// Whether a browser that is sent there stays here: a path, and nothing that could be taken for another host.
fn is_local(path: &str) -> bool {
    let here = Url::parse("https://here.invalid/").expect("an address");
    let plain = |c: u8| c.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&c);
    path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 1000
        && path.bytes().all(plain)
        && here.join(path).is_ok_and(|url| url.origin() == here.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for here in
            ["/", "/docs/", "/ui/orders?status=open&q=a%20b#top", "/a//b", "/@evil.example", "/..//evil.example"]
        {
            assert!(is_local(here), "{here}");
        }
        for elsewhere in [
            "",
            "docs",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/a b",
            "/\r\nSet-Cookie: a=b",
            "/\u{e9}",
            &format!("/{}", "a".repeat(1000)),
        ] {
            assert!(!is_local(elsewhere), "{elsewhere:?}");
        }
    }
}
