//! Logging in and out.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::error::{Error, Result};
use super::repo::users::Filter;
use super::repo::{oidc, roles, sessions, users};
use super::session::{Door, OPENED_BY_PASSWORD, OpenSession, Origin, OwnSession, Token};
use super::{Access, password, throttle};
use crate::platform::audit::{self, Actor};
use crate::platform::client::network;
use crate::platform::{Caller, CallerKind, id};

impl Access {
    /// A new session for whoever knows the password. The refusal is the same whatever was wrong, and takes as long.
    pub(super) async fn log_in(&self, login: &str, password: String, origin: &Origin) -> Result<(Token, OwnSession)> {
        let login = login.to_ascii_lowercase();
        let from = origin.address.map(network);
        if let Some(from) = from {
            self.addresses.take(from).map_err(Error::TooManyLogins)?;
        }
        let verified = self.verify(&login, password).await;
        let opened = match verified {
            Ok(user) => self.open_session(user, origin, &OPENED_BY_PASSWORD, Some(&login)).await,
            Err(error) => Err(error),
        };
        match (&opened, from) {
            (Err(Error::LoginFailed | Error::TooManyLogins(_)), _) => {
                tracing::info!(address = origin.address.map(tracing::field::display), "a log-in was refused");
            }
            (_, Some(from)) => self.addresses.give_back(from),
            _ => {}
        }
        opened
    }

    /// Whose login and password these are. The try counts as failed until the password is used, so that many at
    /// once are no way around the count.
    pub(super) async fn verify(&self, login: &str, password: String) -> Result<Uuid> {
        let turn = self.passwords.turn().await?;
        self.count_try(login).await?;
        let found = users::password_of(&mut *self.db.conn().await?, login).await?;
        let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), hash));
        let right = turn.verify(password, hash).await;
        user.filter(|_| right).ok_or(Error::LoginFailed)
    }

    async fn count_try(&self, login: &str) -> Result<()> {
        let digest = throttle::digest(login);
        let mut tx = self.db.begin().await?;
        let (failures, seconds) = sessions::lock_failures(&mut tx, &digest).await?;
        let ago = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        match throttle::next(failures, ago, throttle::FREE_OF_LOGIN) {
            Ok(failures) => sessions::count_failures(&mut tx, &digest, failures).await?,
            Err(wait) => {
                tx.rollback().await?;
                return Err(Error::TooManyLogins(wait));
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// `login`: whose failures are forgiven.
    pub(super) async fn open_session(
        &self,
        user: Uuid,
        origin: &Origin,
        door: &Door,
        login: Option<&str>,
    ) -> Result<(Token, OwnSession)> {
        let token = Token::generate();
        let id = id::new();
        let mut tx = self.db.begin().await?;
        if !sessions::insert(&mut tx, (id, &token.hash()), user, origin, &self.settings).await? {
            tx.rollback().await?;
            return Err(Error::LoginFailed);
        }
        sessions::note_login(&mut tx, user).await?;
        self.record_login(&mut tx, (user, id), origin, door).await?;
        if let Some(login) = login {
            sessions::forgive(&mut tx, &throttle::digest(login)).await?;
        }
        tx.commit().await?;
        let session = OpenSession { id, user, csrf_token: token.csrf() };
        let own = self.own_session(&session).await?;
        Ok((token, own))
    }

    /// With the session as others may see it: who logs in has the token that opens it to changes.
    async fn record_login(
        &self,
        conn: &mut PgConnection,
        (user, id): (Uuid, Uuid),
        origin: &Origin,
        door: &Door,
    ) -> Result<()> {
        let filter = Filter { id: Some(user), ..Filter::default() };
        let user = users::find(conn, &filter).await?.ok_or(Error::LoginFailed)?;
        let session = sessions::list(conn, user.id, Some(id), &self.settings).await?.pop();
        let by = Actor::Caller(Caller { id: user.id, kind: CallerKind::User, name: user.fields.login.into() });
        let entry = door.entry(by, origin).about("/v1/session").is(&session);
        Ok(audit::record_in_tx(conn, &entry).await?)
    }

    /// What the user of a session sees of it; `LoginFailed` when it has just ended.
    pub(super) async fn own_session(&self, open: &OpenSession) -> Result<OwnSession> {
        let mut conn = self.db.conn().await?;
        let filter = Filter { id: Some(open.user), ..Filter::default() };
        let user = users::find(&mut conn, &filter).await?.ok_or(Error::LoginFailed)?;
        let role = roles::get(&mut conn, &user.fields.role).await?.ok_or(Error::LoginFailed)?;
        let mut sessions = sessions::list(&mut conn, open.user, Some(open.id), &self.settings).await?;
        let session = sessions.pop().ok_or(Error::LoginFailed)?;
        Ok(OwnSession { session, user, scopes: role.rights.scopes, csrf_token: open.csrf_token.clone() })
    }

    /// The hash of a new password, for a user who knows the present one.
    pub(super) async fn replace_password(&self, user: Uuid, present: String, password: String) -> Result<String> {
        let login = self.user(user).await?.fields.login;
        password::check(&password, &login)?;
        self.verify(&login, present).await.map_err(|error| match error {
            Error::LoginFailed => Error::PresentPassword,
            other => other,
        })?;
        sessions::forgive(&mut *self.db.conn().await?, &throttle::digest(&login)).await?;
        self.hash(password, &login).await
    }

    pub(super) async fn end_session_in_tx(&self, conn: &mut PgConnection, session: Uuid) -> Result<()> {
        Ok(sessions::end(conn, session).await?)
    }

    /// Here it is over at once, on other servers when they next ask.
    pub(super) fn forget_session(&self, session: Uuid) {
        self.known.write().expect("never poisoned").retain(|_, (principal, _)| principal.session != Some(session));
    }

    /// Clears up what is over; `true` when there may be more.
    pub async fn forget_old_sessions(&self) -> Result<bool> {
        let limit = 1000;
        let mut tx = self.db.begin().await?;
        let after = throttle::FORGOTTEN.as_secs_f64();
        let forgotten = sessions::forget_old(&mut tx, &self.settings, after, limit).await?;
        let pending = oidc::forget_old(&mut tx, super::oidc::PATIENCE.as_secs_f64(), limit).await?;
        tx.commit().await?;
        Ok(forgotten.max(pending) == limit.unsigned_abs())
    }
}
