//! The role that the application works as. The one that owns the tables makes and changes them, and does nothing else:
//! what is only ever added to, the application's role cannot change or delete, whatever statement reaches the database.
//!
//! The role is called `stockhold_app`. A private Postgres lets it log in with a password of its own; elsewhere
//! connections begin as the owner and take the role on (`SET ROLE`), because who may log in, and how, is not ours to
//! decide there. Where the owner may not make roles, it gives up those rights itself, and a warning says what helps.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Transaction};

use super::MIGRATIONS;

const ROLE: &str = "stockhold_app";

/// How connections get to be the application's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Application {
    /// They log in as its role, with this password.
    LogIn(String),
    /// They log in as the owner, and take its role on.
    TakeOn,
    /// There is no such role: they stay what they are.
    Owner,
}

impl Application {
    /// A login of its own. Every process that knows the owner's password knows this one, and not the other way round.
    pub fn with_login(owner_password: &str) -> Self {
        let digest = Sha256::new().chain_update(ROLE).chain_update("\n").chain_update(owner_password).finalize();
        Self::LogIn(URL_SAFE_NO_PAD.encode(digest))
    }

    pub(super) fn connect_as(&self, owner: PgConnectOptions) -> PgConnectOptions {
        match self {
            Self::LogIn(password) => owner.username(ROLE).password(password),
            Self::TakeOn => owner.options([("role", ROLE)]),
            Self::Owner => owner,
        }
    }
}

/// Makes the role if it can, and gives it the rights that it needs on what the migrations made. Tells how connections
/// are the application's from now on. To be run after every migration; several servers may at once.
pub(super) async fn establish(owner: &mut PgConnection, wanted: Application) -> sqlx::Result<Application> {
    let mut tx = owner.begin().await?;
    run(&mut tx, "SELECT pg_advisory_xact_lock(hashtextextended('stockhold roles', 0))").await?;
    let mut attempt = tx.begin().await?;
    match establish_in_tx(&mut attempt, &wanted).await {
        Ok(()) => {
            attempt.commit().await?;
            tx.commit().await?;
            Ok(wanted)
        }
        Err(error) if error.as_database_error().is_some() => {
            attempt.rollback().await?;
            tracing::warn!(
                %error,
                "the database user may not make the role {ROLE}, so the server works as the owner of its tables. The \
                 audit trail is kept from changes by triggers, which an owner could take away. For more, run as an \
                 administrator: CREATE ROLE {ROLE}; GRANT {ROLE} TO <the user in database_url>; and start again"
            );
            give_up_rights(&mut tx).await?;
            tx.commit().await?;
            Ok(Application::Owner)
        }
        Err(error) => Err(error),
    }
}

async fn establish_in_tx(tx: &mut PgConnection, wanted: &Application) -> sqlx::Result<()> {
    let exists = format!("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}')");
    if !sqlx::query_scalar::<_, bool>(AssertSqlSafe(exists)).fetch_one(&mut *tx).await? {
        // Roles are the cluster's: a server on another of its databases may be making it at this moment.
        run(
            tx,
            &format!(
                "DO $$ BEGIN CREATE ROLE {ROLE} NOLOGIN;
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            ),
        )
        .await?;
    }
    if let Application::LogIn(password) = wanted {
        run(tx, &format!("ALTER ROLE {ROLE} LOGIN PASSWORD '{password}'")).await?;
    }
    let member = format!(
        "DO $$ BEGIN
             SET LOCAL ROLE {ROLE};
         EXCEPTION WHEN insufficient_privilege THEN
             GRANT {ROLE} TO CURRENT_USER;
             SET LOCAL ROLE {ROLE};
         END $$; RESET ROLE"
    );
    run(tx, &member).await?;
    let mut script = String::new();
    for schema in super::backup::schemas() {
        script += &format!("GRANT USAGE ON SCHEMA {schema} TO {ROLE};");
        script += &format!("GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {ROLE};");
    }
    for Table { name, append_only } in tables(tx).await? {
        let rights = if append_only { "SELECT, INSERT" } else { "SELECT, INSERT, UPDATE, DELETE" };
        script += &format!("REVOKE ALL ON {name} FROM {ROLE}; GRANT {rights} ON {name} TO {ROLE};");
    }
    script += &format!("GRANT SELECT ON {} TO {ROLE}", MIGRATIONS.table_name);
    run(tx, &script).await
}

/// An owner without rights can take them back: this guards against mistakes, as the triggers do.
async fn give_up_rights(tx: &mut Transaction<'_, Postgres>) -> sqlx::Result<()> {
    for Table { name, .. } in tables(tx).await?.into_iter().filter(|table| table.append_only) {
        run(tx, &format!("REVOKE UPDATE, DELETE, TRUNCATE ON {name} FROM CURRENT_USER")).await?;
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Table {
    name: String,
    append_only: bool,
}

/// The tables of the migrations. Which of them are only added to, their triggers say. Partitions are reached through
/// the table that they are part of, and nobody needs rights on them.
async fn tables(tx: &mut PgConnection) -> sqlx::Result<Vec<Table>> {
    sqlx::query_as(
        r"SELECT format('%I.%I', nspname, relname) AS name,
                 EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgname LIKE '%\_append\_only') AS append_only
          FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
          WHERE nspname = ANY ($1) AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1",
    )
    .bind(super::backup::schemas())
    .fetch_all(tx)
    .await
}

async fn run(tx: &mut PgConnection, statements: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(tx).await?;
    Ok(())
}
