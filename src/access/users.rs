//! Users and roles: who may log in, and what they may do then.

use sqlx::PgConnection;
use uuid::Uuid;

use super::error::{Error, Result};
use super::password;
use super::repo::roles;
use super::repo::sessions;
use super::repo::users::{self, Filter};
use super::role::{self, Role, RoleRights, Roles};
use super::session::Session;
use super::user::{self, NewUser, User};
use super::{Access, OpenSession, record};
use crate::platform::audit::Actor;
use crate::platform::id;
use crate::platform::page::{Page, PageRequest};

impl Access {
    /// Makes a user who can log in at once.
    pub async fn create_user(&self, user: &NewUser, password: String, created_by: &str) -> Result<User> {
        let user = NewUser { login: user::login(&user.login)?, ..user.clone() };
        let hash = self.hash(password, &user.login).await?;
        let mut tx = self.db.begin().await?;
        let made = self.create_user_in_tx(&mut tx, &user, created_by).await?;
        users::set_password(&mut tx, made.id, &hash).await?;
        let made = self.lock_user_in_tx(&mut tx, made.id).await?;
        record(&mut tx, Actor::CommandLine, "stockhold users create", made.address(), None, &made).await?;
        tx.commit().await?;
        Ok(made)
    }

    pub async fn set_password(&self, id: Uuid, password: String) -> Result<()> {
        let hash = self.hash(password, &self.user(id).await?.fields.login).await?;
        let mut tx = self.db.begin().await?;
        let user = self.lock_user_in_tx(&mut tx, id).await?;
        self.set_password_in_tx(&mut tx, id, &hash, None).await?;
        let (by, operation) = (Actor::CommandLine, "stockhold users password");
        let now = self.lock_user_in_tx(&mut tx, id).await?;
        record(&mut tx, by, operation, user.address(), Some(&user), &now).await?;
        tx.commit().await?;
        Ok(())
    }

    pub async fn disable_user(&self, id: Uuid) -> Result<User> {
        let mut tx = self.db.begin().await?;
        let before = self.lock_user_in_tx(&mut tx, id).await?;
        let fields = NewUser { disabled: true, ..before.fields.clone() };
        let user = self.update_user_in_tx(&mut tx, id, &fields).await?;
        record(&mut tx, Actor::CommandLine, "stockhold users disable", user.address(), Some(&before), &user).await?;
        tx.commit().await?;
        Ok(user)
    }

    pub async fn list_users(
        &self,
        page: PageRequest<Uuid>,
        role: Option<&str>,
        disabled: Option<bool>,
    ) -> Result<Page<User>> {
        let filter = Filter { role, disabled, ..Filter::default() };
        let found = users::list(&mut *self.db.conn().await?, &page, &filter).await?;
        Ok(page.page(found, |user| user.id))
    }

    pub async fn user(&self, id: Uuid) -> Result<User> {
        let filter = Filter { id: Some(id), ..Filter::default() };
        users::find(&mut *self.db.conn().await?, &filter).await?.ok_or_else(|| Error::NoUser(id.to_string()))
    }

    pub async fn user_by_login(&self, login: &str) -> Result<User> {
        let login = login.to_ascii_lowercase();
        let filter = Filter { login: Some(&login), ..Filter::default() };
        users::find(&mut *self.db.conn().await?, &filter).await?.ok_or(Error::NoUser(login))
    }

    pub async fn sessions_of(&self, user: Uuid) -> Result<Vec<Session>> {
        self.user(user).await?;
        Ok(sessions::list(&mut *self.db.conn().await?, user, None, &self.settings).await?)
    }

    pub async fn roles(&self) -> Result<Roles> {
        Ok(Roles { items: roles::list(&mut *self.db.conn().await?, None).await? })
    }

    pub async fn role(&self, name: &str) -> Result<Role> {
        roles::get(&mut *self.db.conn().await?, name).await?.ok_or_else(|| Error::NoRole(name.to_owned()))
    }

    /// A password that is good enough for this login, as it is stored. Outside of any transaction: it takes a while.
    pub(super) async fn hash(&self, password: String, login: &str) -> Result<String> {
        password::check(&password, login)?;
        Ok(self.passwords.turn().await?.hash(password).await)
    }

    /// Without a password.
    pub(super) async fn create_user_in_tx(
        &self,
        conn: &mut PgConnection,
        user: &NewUser,
        created_by: &str,
    ) -> Result<User> {
        self.check_role_in_tx(conn, &user.role).await?;
        let id = id::new();
        if !users::insert(conn, id, user, created_by).await? {
            return Err(Error::UserExists(user.login.clone()));
        }
        self.lock_user_in_tx(conn, id).await
    }

    /// A user who is disabled loses the sessions as well; a new role or limits hold for those there are.
    pub(super) async fn update_user_in_tx(&self, conn: &mut PgConnection, id: Uuid, user: &NewUser) -> Result<User> {
        self.check_role_in_tx(conn, &user.role).await?;
        if !users::update(conn, id, user).await? {
            return Err(Error::UserExists(user.login.clone()));
        }
        if user.disabled {
            sessions::end_all(conn, id, None).await?;
        }
        self.lock_user_in_tx(conn, id).await
    }

    /// Of a locked user.
    pub(super) async fn end_sessions_in_tx(&self, conn: &mut PgConnection, user: Uuid) -> Result<()> {
        Ok(sessions::end_all(conn, user, None).await?)
    }

    /// Ends all sessions of a locked user, but for the one in which the password was changed.
    pub(super) async fn set_password_in_tx(
        &self,
        conn: &mut PgConnection,
        user: Uuid,
        hash: &str,
        from: Option<&OpenSession>,
    ) -> Result<()> {
        users::set_password(conn, user, hash).await?;
        Ok(sessions::end_all(conn, user, from.map(|session| session.id)).await?)
    }

    pub(super) async fn lock_user_in_tx(&self, conn: &mut PgConnection, id: Uuid) -> Result<User> {
        users::lock(conn, id).await?;
        let filter = Filter { id: Some(id), ..Filter::default() };
        users::find(conn, &filter).await?.ok_or_else(|| Error::NoUser(id.to_string()))
    }

    async fn check_role_in_tx(&self, conn: &mut PgConnection, name: &str) -> Result<()> {
        let known = roles::get(conn, name).await?.is_some();
        if known { Ok(()) } else { Err(Error::UnknownRole(name.to_owned())) }
    }

    /// Makes a role, or changes what it may do.
    pub(super) async fn put_role_in_tx(
        &self,
        conn: &mut PgConnection,
        name: &str,
        rights: &RoleRights,
    ) -> Result<Role> {
        role::check_name(name)?;
        if name == role::ADMIN {
            return Err(Error::AdminRole);
        }
        roles::put(conn, name, rights).await?;
        roles::get(conn, name).await?.ok_or_else(|| Error::NoRole(name.to_owned()))
    }

    /// Keeps all roles from changing until the transaction ends; `None` is one that is not there.
    pub(super) async fn lock_role_in_tx(&self, conn: &mut PgConnection, name: &str) -> Result<Option<Role>> {
        roles::lock(conn).await?;
        Ok(roles::get(conn, name).await?)
    }

    pub(super) async fn delete_role_in_tx(&self, conn: &mut PgConnection, role: &Role) -> Result<()> {
        if role.builtin {
            return Err(Error::BuiltinRole(role.name.clone()));
        }
        let page = PageRequest { limit: 1, after: None };
        let filter = Filter { role: Some(&role.name), ..Filter::default() };
        if let Some(user) = users::list(conn, &page, &filter).await?.first() {
            return Err(Error::RoleInUse(role.name.clone(), user.fields.login.clone()));
        }
        Ok(roles::delete(conn, &role.name).await?)
    }
}
