//! What can be wrong with a call about access.

use std::time::Duration;

use uuid::Uuid;

use crate::platform::problem::{
    ALREADY_EXISTS, EXTERNAL_LOGIN_FAILED, IN_USE, INVALID_STATE, LOGIN_FAILED, NOT_FOUND, Problem, TOO_MANY_LOGINS,
};

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no key {0}")]
    NoKey(Uuid),
    #[error("the key is revoked; make a new one")]
    Revoked,
    #[error("the key has expired; make a new one")]
    Expired,
    #[error("this time has passed already")]
    ExpiresInThePast,
    #[error("no other key has admin:write without limits; make one first, or nobody could")]
    LastAdmin,
    #[error(
        "this is the key of the environment, which has no secret of ours to replace; make a new key, then revoke this one"
    )]
    BroughtAlong,
    #[error("there is no user {0}")]
    NoUser(String),
    #[error("a login has letters, digits and any of ._@+- alone, a letter or digit first")]
    Login,
    #[error("there is a user {0} already")]
    UserExists(String),
    #[error("there is no role {0}")]
    NoRole(String),
    #[error("there is no role {0}; GET /v1/roles lists them")]
    UnknownRole(String),
    #[error("a role's name has up to 32 small letters, digits, - and _, a letter first")]
    RoleName,
    #[error("the user {1} has the role {0}")]
    RoleInUse(String, String),
    #[error("the role {0} comes with the product; change what it may do instead")]
    BuiltinRole(String),
    #[error("the role admin may do everything, and stays so; make another role")]
    AdminRole,
    #[error("this password is too easy to guess, or too long: {0}")]
    Password(&'static str),
    #[error("the present password is another one")]
    PresentPassword,
    #[error("login or password is wrong")]
    LoginFailed,
    #[error("no OpenID provider is set up here")]
    NoProvider,
    #[error("this is no path on this server")]
    ReturnTo,
    #[error(
        "this log-in was not begun in this browser, was answered already, or took longer than ten minutes; begin anew"
    )]
    NotBegun,
    #[error("the OpenID provider did not log you in")]
    ProviderRefused,
    #[error("what the OpenID provider answered could not be verified; begin anew")]
    TokenRefused,
    #[error(
        "the OpenID provider knows you, and nobody here is known by that, or may log in; ask who administers this server"
    )]
    Stranger,
    #[error("the OpenID provider does not answer; log in with a password, or try again in a moment")]
    ProviderAway,
    #[error("too many log-ins failed; wait")]
    TooManyLogins(Duration),
    #[error("too many log-ins at once; repeat it in a moment")]
    Busy,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let detail = error.to_string();
        match error {
            Error::NoKey(id) => Self::not_found("key", id),
            Error::NoUser(id) => Self::not_found("user", id),
            Error::NoRole(name) => Self::not_found("role", name),
            Error::ExpiresInThePast => Self::fault("/expires_at", "past", detail),
            Error::UnknownRole(_) => Self::fault("/role", "unknown", detail),
            Error::RoleName => Self::fault("/path/name", "pattern", detail),
            Error::Login => Self::fault("/login", "pattern", detail),
            Error::Password(_) => Self::fault("/password", "weak", detail),
            Error::PresentPassword => Self::fault("/present_password", "wrong", detail),
            Error::Revoked | Error::Expired | Error::BroughtAlong | Error::BuiltinRole(_) | Error::AdminRole => {
                Self::new(&INVALID_STATE, detail)
            }
            Error::LastAdmin | Error::RoleInUse(..) => Self::new(&IN_USE, detail),
            Error::UserExists(_) => Self::new(&ALREADY_EXISTS, detail),
            Error::LoginFailed => Self::new(&LOGIN_FAILED, detail),
            Error::NoProvider => Self::new(&NOT_FOUND, detail),
            Error::ReturnTo => Self::fault("/query/return_to", "pattern", detail),
            Error::NotBegun | Error::ProviderRefused | Error::TokenRefused | Error::Stranger => {
                Self::new(&EXTERNAL_LOGIN_FAILED, detail)
            }
            Error::TooManyLogins(wait) => Self::new(&TOO_MANY_LOGINS, detail).retry_after(wait),
            Error::Busy | Error::ProviderAway => Self::unavailable(detail),
            Error::Database(error) => error.into(),
        }
    }
}
